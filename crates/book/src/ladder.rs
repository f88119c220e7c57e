//! Tick → `u32`, where nearly every tick holds zero.
//!
//! ```text
//! directory   tick >> 10  ->  page number; 0 is the one shared empty page
//! pages       [u32; 1024] each, made when a first value arrives
//! made        the numbers of the pages that exist, ascending: a search steps over the empty axis, however wide
//! ```
//! Real books span from pennies to a hundred times the market, with all the traffic within a few pages: pages are
//! exact everywhere and never need to re-centre. The empty page is never written, so reading an absent price needs no
//! branch. Empty pages are given back only by [`Ladder::clear`]: a market that trends keeps its trail until the next
//! snapshot.

use mmbot_types::Level;

/// Highest price a book holds; one more would read as "no ask".
pub const TICK_MAX: i32 = i32::MAX - 1;

/// Pages one side may use: 16 million ticks of occupied range, 64 MiB.
pub const PAGES_MAX: usize = 1 << 14;

const SHIFT: u32 = 10;
const PAGE: usize = 1 << SHIFT;

/// Ticks skipped at a time while searching: a whole cache line, which the compiler tests at once.
const STRIDE: usize = 16;

#[derive(Clone, Debug)]
pub(crate) struct Ladder {
    directory: Vec<u32>,
    pages: Vec<[u32; PAGE]>,
    made: Vec<usize>,
}

const fn split(tick: i32) -> (usize, usize) {
    (tick as usize >> SHIFT, tick as usize & (PAGE - 1))
}

const fn join(number: usize, slot: usize) -> i32 {
    (number << SHIFT | slot) as i32
}

fn first_set(page: &[u32]) -> Option<usize> {
    let clear =
        page.chunks_exact(STRIDE).take_while(|chunk| chunk.iter().fold(0, |any, &v| any | v) == 0).count() * STRIDE;
    page[clear..].iter().position(|&value| value != 0).map(|slot| clear + slot)
}

fn last_set(page: &[u32]) -> Option<usize> {
    let clear =
        page.rchunks_exact(STRIDE).take_while(|chunk| chunk.iter().fold(0, |any, &v| any | v) == 0).count() * STRIDE;
    page[..page.len() - clear].iter().rposition(|&value| value != 0)
}

impl Ladder {
    pub(crate) fn new() -> Self {
        Self { directory: Vec::new(), pages: vec![[0; PAGE]], made: Vec::new() }
    }

    pub(crate) fn get(&self, tick: i32) -> u32 {
        let (number, slot) = split(tick);
        self.directory.get(number).map_or(0, |&page| self.pages[page as usize][slot])
    }

    /// Sets one tick, in `1..=TICK_MAX`. The caller has made sure of [`Self::has_room`].
    pub(crate) fn set(&mut self, tick: i32, value: u32) {
        let (number, slot) = split(tick);
        match self.directory.get(number) {
            Some(&page) if page != 0 => self.pages[page as usize][slot] = value,
            _ if value != 0 => self.make_page(number)[slot] = value,
            _ => {} // nothing there to delete
        }
    }

    /// Sets many. Two loads and a store each: grouping levels by page costs more in mispredicted branches than it
    /// saves.
    pub(crate) fn write(&mut self, levels: &[Level]) {
        for level in levels {
            self.set(level.tick, level.lots);
        }
    }

    #[cold]
    fn make_page(&mut self, number: usize) -> &mut [u32; PAGE] {
        if self.directory.len() <= number {
            let mut longer = vec![0; number + 1]; // zeroed by the system, so a far outlier costs addresses, not memory
            longer[..self.directory.len()].copy_from_slice(&self.directory);
            self.directory = longer;
        }
        self.made.insert(self.made.partition_point(|&other| other < number), number);
        let page = self.pages.len();
        self.directory[number] = page as u32;
        self.pages.push([0; PAGE]);
        &mut self.pages[page]
    }

    /// Whether these ascending levels can be written within [`PAGES_MAX`].
    pub(crate) fn has_room(&self, levels: &[Level]) -> bool {
        self.pages.len() + levels.len() <= PAGES_MAX || self.pages.len() + self.pages_missing(levels) <= PAGES_MAX
    }

    #[cold]
    fn pages_missing(&self, levels: &[Level]) -> usize {
        let mut numbers: Vec<usize> = levels.iter().filter(|l| l.lots != 0).map(|l| split(l.tick).0).collect();
        numbers.dedup();
        numbers.iter().filter(|&&number| self.directory.get(number).is_none_or(|&page| page == 0)).count()
    }

    /// The nearest set tick above `tick`.
    pub(crate) fn above(&self, tick: i32) -> Option<i32> {
        let (number, slot) = split(tick);
        if let Some(&page) = self.directory.get(number)
            && let Some(found) = first_set(&self.pages[page as usize][slot + 1..])
        {
            return Some(join(number, slot + 1 + found));
        }
        let later = &self.made[self.made.partition_point(|&other| other <= number)..];
        later.iter().find_map(|&number| first_set(self.existing(number)).map(|slot| join(number, slot)))
    }

    /// The nearest set tick below `tick`.
    pub(crate) fn below(&self, tick: i32) -> Option<i32> {
        let (number, slot) = split(tick);
        if let Some(&page) = self.directory.get(number)
            && let Some(found) = last_set(&self.pages[page as usize][..slot])
        {
            return Some(join(number, found));
        }
        let earlier = &self.made[..self.made.partition_point(|&other| other < number)];
        earlier.iter().rev().find_map(|&number| last_set(self.existing(number)).map(|slot| join(number, slot)))
    }

    fn existing(&self, number: usize) -> &[u32; PAGE] {
        &self.pages[self.directory[number] as usize]
    }

    /// Forgets all, at a cost per page that exists: pages are wiped when they are made again.
    pub(crate) fn clear(&mut self) {
        for number in self.made.drain(..) {
            self.directory[number] = 0;
        }
        self.pages.truncate(1);
    }

    pub(crate) fn check_invariants(&self) {
        assert!(self.pages[0].iter().all(|&value| value == 0), "the shared empty page was written to");
        assert!(self.made.is_sorted_by(|a, b| a < b), "pages are listed in order");
        let mut used: Vec<u32> = self.made.iter().map(|&number| self.directory[number]).collect();
        used.sort_unstable();
        assert!(used.iter().copied().eq(1..self.pages.len() as u32), "each page belongs to one directory entry");
    }
}
