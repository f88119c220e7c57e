"""From a name to a strategy: one that ships, or a user's own.

    market_maker                          one of those that ship
    path/to/file.py:MyStrategy            a class in a file of yours
    my_package.my_module:MyStrategy       a class in an installed module

A path is looked for in the working folder; that of a recorded run first where the run was started.

A strategy is built from its configuration, if its constructor takes one: the configuration's class is read from the
annotation of the parameter `config`.
"""

import importlib
import importlib.util
import inspect
import sys
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import NamedTuple, TypeGuard, get_type_hints

from mmbot.config import Strict
from mmbot.strategies.grid import Grid, GridConfig
from mmbot.strategies.join_touch import JoinTouch, JoinTouchConfig
from mmbot.strategies.market_maker import MarketMaker, MarketMakerConfig
from mmbot.strategy import Strategy

__all__ = ["SHIPPED", "Recipe", "StrategyNotFoundError", "find_strategy"]


class StrategyNotFoundError(ValueError):
    """No strategy of that name, or what is there is none. The message says what was looked for and what to write."""


class Recipe(NamedTuple):
    """How a strategy is built."""

    config: type[Strict] | None
    """Its configuration; None if it takes none."""
    strategy: type[Strategy]

    def build(self, settings: dict[str, object]) -> Strategy:
        """Make the strategy. Raises ValueError (pydantic's, naming each field) for settings it cannot have."""
        if self.config is not None:
            return self.strategy(self.config.model_validate(settings))  # type: ignore[call-arg]
        if settings:
            raise ValueError(f"{self.strategy.__name__} takes no settings, got {', '.join(settings)}")
        return self.strategy()


SHIPPED = MappingProxyType(
    {
        "market_maker": Recipe(MarketMakerConfig, MarketMaker),
        "join_touch": Recipe(JoinTouchConfig, JoinTouch),
        "grid": Recipe(GridConfig, Grid),
    }
)
"""Strategies that can be asked for by name."""


def find_strategy(name: str, folder: Path | None = None) -> Recipe:
    """Return a shipped strategy, or load a user's own, as the module's first lines say.

    folder: where a relative path is looked for before the working folder.

    Raises StrategyNotFoundError if there is none; what a user's file itself raises passes through.
    """
    if name in SHIPPED:
        return SHIPPED[name]
    place, colon, class_name = name.rpartition(":")
    if not colon or not place or not class_name:
        near = get_close_matches(name, SHIPPED, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(SHIPPED)}"
        raise StrategyNotFoundError(f"no strategy {name!r}; {hint}; your own is written file.py:Class or module:Class")
    module = _load_file(Path(place), folder) if place.endswith(".py") else _load_module(place)
    found = getattr(module, class_name, None)
    if _is_strategy(found):
        return Recipe(_config_of(found), found)
    defined = [key for key, it in vars(module).items() if _is_strategy(it) and it.__module__ == module.__name__]
    wrong = f"{place} has no {class_name!r}" if found is None else f"{name} is no subclass of mmbot.strategy.Strategy"
    hint = f"expected one of {', '.join(defined)}" if defined else "it defines no strategy"
    raise StrategyNotFoundError(f"{wrong}; {hint}")


def _is_strategy(it: object) -> TypeGuard[type[Strategy]]:
    return inspect.isclass(it) and issubclass(it, Strategy)


def _load_file(named: Path, folder: Path | None) -> ModuleType:
    places = list(dict.fromkeys((folder or Path.cwd(), Path.cwd())))
    path = next((place / named for place in places if (place / named).is_file()), None)
    if path is None:
        looked = " and ".join(map(str, places))
        raise StrategyNotFoundError(f"no file {named} (looked in {looked}); expected path/to/file.py:Class")
    name = f"mmbot_user_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise StrategyNotFoundError(f"{path} cannot be imported as Python; expected a .py file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and type hints look their module up there
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _load_module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise StrategyNotFoundError(
                f"no module {name!r}; expected an installed package.module:Class, or path/to/file.py:Class"
            ) from error
        raise  # the module exists, and something it needs does not


def _config_of(strategy: type[Strategy]) -> type[Strict] | None:
    """Read the class of the constructor's parameter `config`."""
    if "config" not in inspect.signature(strategy).parameters:
        return None
    config = get_type_hints(strategy.__init__).get("config")
    if not (inspect.isclass(config) and issubclass(config, Strict)):
        raise StrategyNotFoundError(
            f"{strategy.__name__}.__init__ has config: {config!r}; expected a subclass of mmbot.config.Strict, "
            "so that its settings can be checked"
        )
    return config
