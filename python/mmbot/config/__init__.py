"""What a user says about a run: typed, checked when it is read, and hashed."""

from mmbot.config.load import ConfigError, load
from mmbot.config.profiles import MissingProfileError, load_profile
from mmbot.config.risk import RiskConfig
from mmbot.config.schema import (
    BacktestConfig,
    FeesConfig,
    InstrumentConfig,
    LatencyConfig,
    LimitsConfig,
    OrdersConfig,
    StrategyConfig,
    VenueConfig,
)
from mmbot.config.session import ExchangeConfig, LeaderConfig, RedisConfig, SessionConfig
from mmbot.config.strict import Strict

__all__ = [
    "BacktestConfig",
    "ConfigError",
    "ExchangeConfig",
    "FeesConfig",
    "InstrumentConfig",
    "LatencyConfig",
    "LeaderConfig",
    "LimitsConfig",
    "MissingProfileError",
    "OrdersConfig",
    "RedisConfig",
    "RiskConfig",
    "SessionConfig",
    "StrategyConfig",
    "Strict",
    "VenueConfig",
    "load",
    "load_profile",
]
