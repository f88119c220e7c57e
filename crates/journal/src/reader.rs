//! Reads a journal back: every record checked, the first bad one named, a torn end told from damage, and what was
//! anchored elsewhere held against what is here.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

use mmbot_types::Nanos;
use thiserror::Error;

use crate::entry::Entry;
use crate::frame::{
    Chain, Head, Layout, MAGIC, MAX_PAYLOAD, NoHead, V1, V2, VERSION, head_length, is_intact, u16_at, u32_at, u64_at,
};
use crate::writer::{folder_of, segment_path};

/// Why a journal cannot be read on. Everything before the named record is good.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Fault {
    /// The file cannot be opened or read.
    #[error("{0}")]
    Io(String),
    /// It does not begin as a journal does.
    #[error("not a journal: {0}")]
    Head(String),
    /// A newer mmbot wrote it.
    #[error(
        "written in version {found} of the journal's format; this mmbot reads 1 to {VERSION}: read it with the mmbot \
         that wrote it, or a newer one"
    )]
    Newer {
        /// Its version.
        found: u32,
    },
    /// A record or a segment is not what was written, and good ones follow: somebody or something changed the file.
    #[error(
        "the journal is damaged at entry {seq} (segment {segment}, byte {offset}): {reason}; entries before it are good"
    )]
    Damaged {
        /// The first bad record.
        seq: u64,
        /// Number of the segment.
        segment: u64,
        /// Where in the segment the record begins.
        offset: u64,
        /// What is wrong, and what was expected.
        reason: String,
    },
    /// Entries that were anchored are not the ones that are here.
    #[error(
        "the journal was rewritten: after entry {last} its chain value is {found}, but {anchored} was anchored; an \
         entry from {first} to {last} was changed, and everything after it made to fit"
    )]
    Rewritten {
        /// First entry after the last anchor that fits.
        first: u64,
        /// Last entry that the anchor covers.
        last: u64,
        /// The chain value here.
        found: String,
        /// The one that was kept.
        anchored: String,
    },
    /// Entries that were anchored are missing.
    #[error(
        "the journal was cut short: {anchored} entries were anchored and {found} are here; entry {found} is the first \
         that is missing: the disk lost what it had acknowledged, or somebody cut it off"
    )]
    Short {
        /// Entries here.
        found: u64,
        /// Entries that were there.
        anchored: u64,
    },
    /// A torn end that nobody can say was never acknowledged.
    #[error(
        "the end is torn at byte {offset} of segment {segment}, and no anchor vouches for what is before it; it is cut \
         only where that is proven to lose nothing: give the anchors, or leave it, since every reader passes over it"
    )]
    Unproven {
        /// Number of the segment.
        segment: u64,
        /// Where the torn record begins.
        offset: u64,
    },
    /// An intact record that this version cannot read.
    #[error("entry {seq} is intact, but its kind or layout is unknown to this version of mmbot")]
    Meaningless {
        /// Which.
        seq: u64,
    },
}

/// How a journal ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// With its last record.
    Whole,
    /// In the middle of one, and it may be that the writer was stopped while it wrote: see `why_not_torn`. What it was
    /// about to write was never acted on, because a command leaves only after its record is whole. That nobody cut it
    /// only an anchor proves.
    Torn {
        /// Where in its segment the torn record begins.
        offset: u64,
        /// How many bytes of it there are.
        bytes: u64,
    },
}

/// One record.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Its number, from zero.
    pub seq: u64,
    /// Time of the entry.
    pub time: Nanos,
    /// Number of its kind.
    pub kind: u16,
    /// What it says, encoded.
    pub payload: &'a [u8],
}

impl<'a> Record<'a> {
    /// What it says.
    ///
    /// # Errors
    /// [`Fault::Meaningless`] for a kind or layout that is not known.
    pub fn entry(&self) -> Result<Entry<'a>, Fault> {
        Entry::decode(self.kind, self.payload).ok_or(Fault::Meaningless { seq: self.seq })
    }
}

/// A reader at some record of a journal.
pub struct Reader {
    source: Box<dyn Read + Send>,
    /// Files of the segments after the one that is being read.
    later: VecDeque<PathBuf>,
    layout: Layout,
    /// Number of the segment.
    segment: u64,
    record: Vec<u8>,
    /// In the segment.
    offset: u64,
    seq: u64,
    chain: Chain,
    /// What the next record follows: the chain, or the head of the segment.
    before: Chain,
    /// What others kept, not yet come to: number of entries, chain value.
    anchors: VecDeque<(u64, String)>,
    /// Entries that an anchor vouches for.
    vouched: u64,
    tail: Option<Tail>,
    fault: Option<Fault>,
}

fn io_fault(error: io::Error) -> Fault {
    Fault::Io(error.to_string())
}

fn at_path(path: &Path, error: io::Error) -> Fault {
    Fault::Io(format!("{}: {error}", path.display()))
}

fn open_file(path: &Path) -> Result<Box<dyn Read + Send>, Fault> {
    let file = File::open(path).map_err(|error| at_path(path, error))?;
    Ok(Box::new(BufReader::with_capacity(1 << 20, file)))
}

/// Reads until there are `length` bytes, as far as the source goes.
fn fill(source: &mut dyn Read, bytes: &mut Vec<u8>, length: usize) -> Result<(), Fault> {
    let mut filled = bytes.len();
    bytes.resize(length.max(filled), 0);
    while filled < length {
        match source.read(&mut bytes[filled..length]) {
            Ok(0) => break,
            Ok(some) => filled += some,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(io_fault(error)),
        }
    }
    bytes.truncate(filled);
    Ok(())
}

/// Reads a segment's head, as long as it says that it is.
fn fill_head(source: &mut dyn Read, bytes: &mut Vec<u8>) -> Result<(), Fault> {
    fill(source, bytes, V1.head)?;
    if bytes.len() < V1.head { Ok(()) } else { fill(source, bytes, head_length(bytes)) }
}

/// Segments that lie beside the first, by number, whatever numbers are missing.
fn segments_beside(base: &Path) -> Result<Vec<u64>, Fault> {
    let folder = folder_of(base);
    let [stem, ending] = [base.file_stem(), base.extension()].map(|part| part.unwrap_or_default().to_string_lossy());
    let mut found = Vec::new();
    for file in fs::read_dir(folder).map_err(|error| at_path(folder, error))? {
        let name = file.map_err(|error| at_path(folder, error))?.file_name();
        let name = name.to_string_lossy();
        let number = name.strip_prefix(&*stem).and_then(|rest| rest.strip_suffix(&*ending));
        let number = number.and_then(|rest| rest.strip_prefix('.')?.strip_suffix('.')?.parse::<u64>().ok());
        found.extend(number.filter(|number| *number > 0));
    }
    found.sort_unstable();
    Ok(found)
}

impl Reader {
    /// Opens a journal by its first file; later segments lie beside it.
    ///
    /// # Errors
    /// [`Fault::Io`] when it cannot be opened, [`Fault::Head`] or [`Fault::Newer`] when it is none, [`Fault::Damaged`]
    /// when a segment is missing.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Fault> {
        let path = path.as_ref();
        let mut reader = Self::new(open_file(path)?)?;
        reader.later = segments_beside(path)?.into_iter().map(|number| segment_path(path, number)).collect();
        Ok(reader)
    }

    /// Reads a journal from anywhere; its segments follow each other.
    ///
    /// # Errors
    /// As [`Reader::open`].
    pub fn new(mut source: Box<dyn Read + Send>) -> Result<Self, Fault> {
        let mut head = Vec::new();
        fill_head(&mut *source, &mut head)?;
        let (layout, said) = Layout::decode(&head).map_err(|why| match why {
            NoHead::Magic => Fault::Head("it does not begin with MMBOTJNL".into()),
            NoHead::Short => Fault::Head("it is cut off in its head".into()),
            NoHead::Damaged => Fault::Head("its head is damaged".into()),
            NoHead::Version(found) => Fault::Newer { found },
        })?;
        if said != (Head { segment: 0, first: 0, before: [0; 32] }) {
            let Head { segment, first, .. } = said;
            let why = format!("it is segment {segment}, which begins with entry {first}; begin with the first file");
            return Err(Fault::Head(why));
        }
        let before = layout.opening(&head, said.before);
        Ok(Self {
            source,
            later: VecDeque::new(),
            layout,
            segment: 0,
            record: Vec::new(),
            offset: layout.head as u64,
            seq: 0,
            chain: said.before,
            before,
            anchors: VecDeque::new(),
            vouched: 0,
            tail: None,
            fault: None,
        })
    }

    /// The segments whose files lie at `path`, the first included: each with the number of its first entry, oldest
    /// first.
    ///
    /// # Errors
    /// As [`Reader::open`], for the heads alone.
    pub fn segments(path: impl AsRef<Path>) -> Result<Vec<(u64, u64)>, Fault> {
        let path = path.as_ref();
        let mut found = vec![(0, 0)];
        for number in segments_beside(path)? {
            let mut head = Vec::new();
            fill_head(&mut *open_file(&segment_path(path, number))?, &mut head)?;
            if let Ok((_, Head { segment, first, .. })) = Layout::decode(&head) {
                found.push((segment, first));
            }
        }
        Ok(found)
    }

    /// Opens a journal at the beginning of a segment, whose head is taken at its word: what is before it is vouched for
    /// by an anchor that fits behind it, because each chain value covers all before it, and by nothing else.
    ///
    /// # Errors
    /// As [`Reader::open`].
    pub fn open_at(path: impl AsRef<Path>, segment: u64) -> Result<Self, Fault> {
        let path = path.as_ref();
        let mut reader = Self::open(path)?;
        if segment == 0 {
            return Ok(reader);
        }
        let later = segments_beside(path)?.into_iter().filter(|number| *number > segment);
        reader.later = later.map(|number| segment_path(path, number)).collect();
        let mut head = Vec::new();
        reader.source = open_file(&segment_path(path, segment))?;
        fill_head(&mut *reader.source, &mut head)?;
        let (layout, said) = Layout::decode(&head)
            .map_err(|_| Fault::Head(format!("segment {segment} does not begin with a head that can be read")))?;
        if said.segment != segment {
            return Err(Fault::Head(format!("segment {} lies in the place of segment {segment}", said.segment)));
        }
        reader.before = layout.opening(&head, said.before);
        (reader.layout, reader.offset, reader.segment) = (layout, layout.head as u64, segment);
        (reader.seq, reader.chain, reader.vouched) = (said.first, said.before, said.first);
        Ok(reader)
    }

    /// Holds the journal against what was kept elsewhere: (number of entries, chain value after them, as hex). To be
    /// said before the first record is read.
    #[must_use]
    pub fn anchored(mut self, mut anchors: Vec<(u64, String)>) -> Self {
        anchors.sort_unstable();
        self.anchors = anchors.into_iter().filter(|(entries, _)| *entries > self.seq).collect();
        self
    }

    /// The next record, checked; none at the end.
    ///
    /// # Errors
    /// [`Fault`], naming the first bad record.
    pub fn next_record(&mut self) -> Result<Option<Record<'_>>, Fault> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        if self.tail.is_some() {
            return Ok(None);
        }
        match self.take() {
            Ok(true) => Ok(Some(self.last_record())),
            Ok(false) => Ok(None),
            Err(fault) => Err(self.fault.insert(fault).clone()),
        }
    }

    /// The record that was read last, which is there until the next is asked for.
    pub(crate) fn last_record(&self) -> Record<'_> {
        let (seq, time) = (self.seq - 1, Nanos(u64_at(&self.record, 16) as i64));
        let (kind, payload) = (u16_at(&self.record, 24), &self.record[self.layout.record()..]);
        Record { seq, time, kind, payload }
    }

    /// Reads one record into `self.record` and checks it; false at the end.
    fn take(&mut self) -> Result<bool, Fault> {
        self.record.clear();
        let head = self.layout.record();
        fill(&mut *self.source, &mut self.record, MAGIC.len())?;
        while self.record.is_empty() || self.record == MAGIC {
            if self.record.is_empty() {
                let Some(next) = self.later.pop_front() else { return self.end(Tail::Whole) };
                self.source = open_file(&next)?;
            }
            fill_head(&mut *self.source, &mut self.record)?;
            self.begin_segment()?;
            if self.tail.is_some() {
                return Ok(false);
            }
            fill(&mut *self.source, &mut self.record, MAGIC.len())?;
        }
        fill(&mut *self.source, &mut self.record, head)?;
        if self.record.len() < head {
            return self.broken("it is cut off");
        }
        let payload = u32_at(&self.record, 0) as usize;
        if payload > MAX_PAYLOAD {
            return self.broken("its length is impossible");
        }
        fill(&mut *self.source, &mut self.record, head + payload)?;
        if self.record.len() < head + payload {
            return self.broken("it is cut off");
        }
        if !is_intact(&self.record) {
            return self.broken("its checksum does not fit its bytes");
        }
        let (seq, version) = (u64_at(&self.record, 8), u16_at(&self.record, 26));
        if version != self.layout.version || u32_at(&self.record, 28) != 0 {
            return Err(self.damaged(format!("a record of version {version} in a segment of {}", self.layout.version)));
        }
        if seq != self.seq {
            let why = format!("it says that it is entry {seq}: records were taken out, put in or swapped");
            return Err(self.damaged(why));
        }
        if !self.layout.follows(&mut self.record, self.before) {
            return Err(self.damaged("it does not follow the record before it: one of them was changed".into()));
        }
        self.chain = self.layout.chain_at(&self.record);
        self.before = self.chain;
        self.offset += self.record.len() as u64;
        self.seq += 1;
        self.hold_against_anchors()?;
        Ok(true)
    }

    /// Begins the segment whose head lies in `self.record`.
    fn begin_segment(&mut self) -> Result<(), Fault> {
        (self.segment, self.offset) = (self.segment + 1, 0);
        let (layout, head) = match Layout::decode(&self.record) {
            Ok(decoded) => decoded,
            Err(NoHead::Version(found)) => return Err(Fault::Newer { found }),
            Err(NoHead::Damaged | NoHead::Magic) => return self.broken("its segment's head is damaged").map(drop),
            Err(NoHead::Short) => return self.broken("its segment's head is cut off").map(drop),
        };
        let expected = Head { segment: self.segment, first: self.seq, before: self.chain };
        if head != expected {
            let Head { segment, first, .. } = head;
            let why = if (segment, first) == (expected.segment, expected.first) {
                "its segment follows another chain: a segment was changed or comes from another journal".into()
            } else {
                format!(
                    "segment {segment}, which begins with entry {first}, is here; expected segment {} with entry {}: \
                     segments are missing or swapped",
                    expected.segment, expected.first
                )
            };
            return Err(self.damaged(why));
        }
        self.before = layout.opening(&self.record, self.chain);
        self.record.clear();
        (self.layout, self.offset) = (layout, layout.head as u64);
        Ok(())
    }

    fn hold_against_anchors(&mut self) -> Result<(), Fault> {
        while let Some((_, anchored)) = self.anchors.front().filter(|(entries, _)| *entries == self.seq) {
            let found = self.head();
            if *anchored != found {
                let (first, last) = (self.vouched, self.seq - 1);
                return Err(Fault::Rewritten { first, last, found, anchored: anchored.clone() });
            }
            self.vouched = self.seq;
            self.anchors.pop_front();
        }
        Ok(())
    }

    fn end(&mut self, tail: Tail) -> Result<bool, Fault> {
        if let Some((anchored, _)) = self.anchors.back() {
            return Err(Fault::Short { found: self.seq, anchored: *anchored });
        }
        self.tail = Some(tail);
        Ok(false)
    }

    #[cold]
    fn damaged(&self, reason: String) -> Fault {
        Fault::Damaged { seq: self.seq, segment: self.segment, offset: self.offset, reason }
    }

    /// A record or a head that is not whole: the torn end of the journal if no good record follows, damage otherwise.
    #[cold]
    fn broken(&mut self, reason: &str) -> Result<bool, Fault> {
        let mut rest = std::mem::take(&mut self.record);
        self.source.read_to_end(&mut rest).map_err(io_fault)?;
        let own = rest.len();
        for path in std::mem::take(&mut self.later) {
            open_file(&path)?.read_to_end(&mut rest).map_err(io_fault)?;
        }
        if has_later_record(&rest, self.seq) {
            return Err(self.damaged(reason.into()));
        }
        if let Some(why) = why_not_torn(self.layout, &rest[..own], self.offset, self.seq) {
            return Err(self.damaged(format!("{reason}, and no unfinished write leaves this: {why}")));
        }
        self.end(Tail::Torn { offset: self.offset, bytes: own as u64 })
    }

    /// Number of the next record.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Number of the segment that is being read.
    #[must_use]
    pub fn segment(&self) -> u64 {
        self.segment
    }

    /// Entries that the anchors given vouch for, so far.
    #[must_use]
    pub fn vouched(&self) -> u64 {
        self.vouched
    }

    /// How the journal ends; none before its end was read.
    #[must_use]
    pub fn tail(&self) -> Option<Tail> {
        self.tail
    }

    /// The chain value after the last record read, as hex.
    #[must_use]
    pub fn head(&self) -> String {
        self.layout.hex(self.chain)
    }
}

/// Cuts off the torn end of a journal, where that is proven to lose nothing that was acknowledged: the anchors fit, and
/// none of them covers what is torn. Returns how many bytes went, none where the end is whole.
///
/// # Errors
/// [`Fault::Unproven`] without an anchor; as reading otherwise, and then nothing was changed.
pub fn cut_torn_end(path: impl AsRef<Path>, anchors: Vec<(u64, String)>) -> Result<Option<u64>, Fault> {
    let path = path.as_ref();
    let mut reader = Reader::open(path)?.anchored(anchors);
    while reader.next_record()?.is_some() {}
    let Some(Tail::Torn { offset, bytes }) = reader.tail else { return Ok(None) };
    let (segment, vouched) = (reader.segment, reader.vouched);
    if vouched == 0 {
        return Err(Fault::Unproven { segment, offset });
    }
    let torn = segment_path(path, segment);
    let cut = || {
        if offset == 0 {
            fs::remove_file(&torn)?; // not even its head is there
        } else {
            let file = File::options().write(true).open(&torn)?;
            file.set_len(offset)?;
            file.sync_all()?;
        }
        File::open(folder_of(path))?.sync_all()
    };
    cut().map_err(|error| at_path(&torn, error))?;
    Ok(Some(bytes))
}

/// Bytes that a disk writes whole or not at all.
const SECTOR: u64 = 512;

/// Why what lies at `offset` of a segment, from a record or a head that is not whole to the end, cannot have been left
/// by a write that was not finished; none where it can.
///
/// ```text
/// a writer was killed     the beginning of what it wrote, every byte of it right
/// the power went          and sectors that never got there: zeros, in room that was set aside empty
/// ```
/// Anything else was changed after it was written. Not handled: file systems that show the bytes of others after a
/// power cut (ext4 with data=writeback and no room set aside); such an end is called damaged, and a person has to look.
fn why_not_torn(layout: Layout, rest: &[u8], offset: u64, seq: u64) -> Option<&'static str> {
    if has_empty_sector(rest, offset) {
        return None;
    }
    if rest.starts_with(&MAGIC) || MAGIC.starts_with(rest) {
        let whole = rest.len() >= V1.head && rest.len() >= head_length(rest);
        return whole.then_some("all of the head is here");
    }
    let (length, head) = (rest.len(), layout.record());
    if length >= 4 && u32_at(rest, 0) as usize > MAX_PAYLOAD {
        return Some("no record is so long");
    }
    if length >= 16 && u64_at(rest, 8) != seq {
        return Some("it has another number");
    }
    if length >= 32 && (u16_at(rest, 26) != layout.version || u32_at(rest, 28) != 0) {
        return Some("it has another version");
    }
    if length < head {
        return None;
    }
    if u32_at(rest, 0) as usize <= length - head {
        return Some("all of the record is here");
    }
    is_intact(rest).then_some("all of the record is here, and its length was changed")
}

/// Whether all that `bytes`, which begin at `offset`, have of some sector is zero.
fn has_empty_sector(bytes: &[u8], offset: u64) -> bool {
    let first = (SECTOR - offset % SECTOR) as usize;
    let (head, rest) = bytes.split_at(first.min(bytes.len()));
    [head].into_iter().chain(rest.chunks(SECTOR as usize)).any(|part| part.iter().all(|byte| *byte == 0))
}

/// Whether anywhere in `rest`, which begins with the broken record number `seq`, a later record is intact.
fn has_later_record(rest: &[u8], seq: u64) -> bool {
    [V1, V2].into_iter().any(|layout| has_later_record_of(layout, rest, seq))
}

fn has_later_record_of(layout: Layout, rest: &[u8], seq: u64) -> bool {
    let head = layout.record();
    (1..rest.len().saturating_sub(head - 1)).any(|at| {
        let bytes = &rest[at..];
        let (payload, found) = (u32_at(bytes, 0) as usize, u64_at(bytes, 8));
        found > seq
            && payload <= bytes.len() - head
            && u16_at(bytes, 26) == layout.version
            && u32_at(bytes, 28) == 0
            && is_intact(&bytes[..head + payload])
    })
}
