"""Terms of the report in the words of docs/contracts.md, for a reader who is no modeller."""

TERMS = (
    (
        "Incremental",
        "What a policy adds to making no offers, under the same programme, for the same customers "
        "with the same luck. Only the offers differ, so nothing else can explain the difference.",
    ),
    (
        "Incremental margin",
        "Margin on purchases less every cost: discounts, items and rewards given, contacts, and "
        "the change in what is owed for points.",
    ),
    (
        "Interval",
        "The range that the mean of many more such customers plausibly lies in. If zero is inside, "
        "the policy is not shown to differ from doing nothing.",
    ),
    (
        "Response world",
        "An assumption on what offers do to behaviour. “Offers change nothing” (null): customers "
        "redeem what they get and buy as they would have. “Literature effects”: sizes assumed "
        "after published studies; “What was put in” says how well each is known.",
    ),
    (
        "Reserved",
        "The most an offer can cost. It is set aside when the offer is made and counts against the "
        "weekly limit until the offer is used or lapses.",
    ),
    ("Settled", "What offers really cost: what was redeemed, and contacts."),
    (
        "ROI",
        "Incremental margin, all costs deducted, per unit settled. 0 breaks even; +0.50 means that "
        "each unit spent came back with half a unit on top; below 0 money is lost.",
    ),
    (
        "Deadweight",
        "Share of the redeemed cost that rewarded purchases which would have happened anyway.",
    ),
    (
        "Retention lift",
        "Difference in the share of customers who are still customers at the end, in percentage "
        "points (pp). The simulation knows who has left for good; a firm would not.",
    ),
    (
        "Overruled",
        "Share of a policy's proposals that a limit replaced. Limits are imposed outside the "
        "policy, so no policy can break them.",
    ),
    (
        "Violations",
        "Hard constraints found broken when the finished run was audited. Anything but none is a "
        "fault.",
    ),
    (
        "Points liability, breakage",
        "Points that customers hold times their expected cost; the share of points that expire "
        "unused.",
    ),
)

STATUSES = {  # sign: (word, meaning)
    "M": ("measured", "measured on the data"),
    "V": ("stated", "stated in a source that was read"),
    "A": ("assumed", "an assumption: vary it before you rely on it"),
}
