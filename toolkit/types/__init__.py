"""The nouns of the pipeline, as frozen pydantic models.

`ModelSpec + Workload + Gpu → MemoryPlan → LaunchPlan → Deployment → BenchResult → CostReport`. Everything that
crosses a stage, and everything `--json` prints, is one of these. Units are in the names: ``_bytes`` (int),
``_gib`` (2^30 bytes), ``_s`` (seconds), ``usd_`` (Decimal dollars), ``_tok_s`` (tokens per second).

A module of this package is imported when one of its types is first asked for: pydantic takes a third of a millisecond
for each of the ninety, and a command uses a few.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from toolkit.types.common import GIB, MIB, SCHEMA_VERSION, Basis, Certainty, Document, Frozen, Money, Sourced
    from toolkit.types.compared import (
        Comparison,
        Difference,
        Finding,
        LevelChange,
        LimitOutcome,
        MetricChange,
        RunList,
        RunRef,
    )
    from toolkit.types.deployed import DeployCommands, DeployFolder
    from toolkit.types.machine import Doctor, EngineFound, QuickstartResult
    from toolkit.types.measured import (
        BenchResult,
        CheckedLoad,
        EndpointKind,
        Energy,
        Environment,
        Gauge,
        Level,
        Search,
        SelfCheck,
        ServerSide,
        Stat,
    )
    from toolkit.types.memory import (
        Adapter,
        AdapterSite,
        Advice,
        DevicePlan,
        GridRow,
        LayerAttention,
        Line,
        MemoryPlan,
        MinimumGpus,
        ModelSpec,
        RecurrentState,
        Role,
        Setting,
        StoredTensor,
        WeightGroup,
    )
    from toolkit.types.money import (
        Alternative,
        ApiPrice,
        ArticleQuestion,
        ArticleVerdict,
        Audit,
        AuditedClaim,
        ClaimVerdict,
        CostLine,
        CostReport,
        Currency,
        GoodAnswer,
        GpuPriceAge,
        InCurrency,
        MoneyBand,
        MonthlyUsd,
        PriceDiff,
        PriceDifference,
        PriceList,
        RejectedOption,
        ServingOption,
        Swing,
        TaskVerdict,
        Uncertainty,
        Verdict,
    )
    from toolkit.types.predicted import (
        Band,
        DeclinedPrediction,
        HardwareOption,
        NotJudged,
        Prediction,
        Recommendation,
        UsdSpread,
    )
    from toolkit.types.profiles import (
        ApiModel,
        ApiRetirement,
        Gpu,
        GpuList,
        GpuPrice,
        Lengths,
        Licence,
        ModelList,
        ModelProfile,
        PackagedFile,
        QuantQuality,
        VcpuPrice,
        Workload,
        WorkloadList,
    )
    from toolkit.types.serving import Deployment, Event, LastExit, LaunchPlan, Rejection, State, StatusList

MODULES = (
    *("common", "memory", "profiles", "serving", "machine", "deployed"),
    *("predicted", "measured", "compared", "money"),
)
"""Where a type is looked for, the ones that need no others first."""

__all__ = [
    "GIB",
    "MIB",
    "SCHEMA_VERSION",
    "Adapter",
    "AdapterSite",
    "Advice",
    "Alternative",
    "ApiModel",
    "ApiPrice",
    "ApiRetirement",
    "ArticleQuestion",
    "ArticleVerdict",
    "Audit",
    "AuditedClaim",
    "Band",
    "Basis",
    "BenchResult",
    "Certainty",
    "CheckedLoad",
    "ClaimVerdict",
    "Comparison",
    "CostLine",
    "CostReport",
    "Currency",
    "DeclinedPrediction",
    "DeployCommands",
    "DeployFolder",
    "Deployment",
    "DevicePlan",
    "Difference",
    "Doctor",
    "Document",
    "EndpointKind",
    "Energy",
    "EngineFound",
    "Environment",
    "Event",
    "Finding",
    "Frozen",
    "Gauge",
    "GoodAnswer",
    "Gpu",
    "GpuList",
    "GpuPrice",
    "GpuPriceAge",
    "GridRow",
    "HardwareOption",
    "InCurrency",
    "LastExit",
    "LaunchPlan",
    "LayerAttention",
    "Lengths",
    "Level",
    "LevelChange",
    "Licence",
    "LimitOutcome",
    "Line",
    "MemoryPlan",
    "MetricChange",
    "MinimumGpus",
    "ModelList",
    "ModelProfile",
    "ModelSpec",
    "Money",
    "MoneyBand",
    "MonthlyUsd",
    "NotJudged",
    "PackagedFile",
    "Prediction",
    "PriceDiff",
    "PriceDifference",
    "PriceList",
    "QuantQuality",
    "QuickstartResult",
    "Recommendation",
    "RecurrentState",
    "RejectedOption",
    "Rejection",
    "Role",
    "RunList",
    "RunRef",
    "Search",
    "SelfCheck",
    "ServerSide",
    "ServingOption",
    "Setting",
    "Sourced",
    "Stat",
    "State",
    "StatusList",
    "StoredTensor",
    "Swing",
    "TaskVerdict",
    "Uncertainty",
    "UsdSpread",
    "VcpuPrice",
    "Verdict",
    "WeightGroup",
    "Workload",
    "WorkloadList",
]


if not TYPE_CHECKING:  # else mypy would believe in any name of this package

    def __getattr__(name: str) -> Any:
        """A type from the first module that has it, kept here for the next time."""
        if name in __all__:
            for module in MODULES:
                held = vars(import_module(f"{__name__}.{module}"))
                if name in held:
                    globals()[name] = held[name]
                    return held[name]
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
