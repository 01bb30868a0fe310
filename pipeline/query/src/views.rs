//! Views over the tables, under the names that people guess.

/// The views: name and query.
pub(crate) const VIEWS: [(&str, &str); 4] = [
    ("latest_decisions", LATEST_DECISIONS),
    ("shadow_vs_primary", SHADOW_VS_PRIMARY),
    ("forecast_error", FORECAST_ERROR),
    ("cost_by_workload", COST_BY_WORKLOAD),
];

/// The newest decision of each workload, with the columns of `decisions`.
const LATEST_DECISIONS: &str = "
SELECT DISTINCT ON (workload) * FROM decisions ORDER BY workload, sequence DESC";

/// Each metric of a primary beside its shadow's, tick by tick, where both were read.
///
/// `shadow_over_primary` is the ratio of the means: near the mirrored share for requests, above it for a resource that
/// has a fixed part. Null where the primary's mean is zero.
const SHADOW_VS_PRIMARY: &str = "
SELECT *, shadow_mean / nullif(primary_mean, 0) AS shadow_over_primary
FROM (
    SELECT time, tenant, workload, metric, window_ms,
        max(mean) FILTER (WHERE role = 'primary') AS primary_mean,
        max(mean) FILTER (WHERE role = 'shadow') AS shadow_mean,
        max(p99) FILTER (WHERE role = 'primary') AS primary_p99,
        max(p99) FILTER (WHERE role = 'shadow') AS shadow_p99
    FROM features
    GROUP BY time, tenant, workload, metric, window_ms
)
WHERE primary_mean IS NOT NULL AND shadow_mean IS NOT NULL";

/// Each forecast beside the peak of usage that came, once its horizon is over.
///
/// The peak is the largest reading of the primary in windows that lie within the horizon, of whatever length: usage, which is
/// below demand while the primary is saturated. Of a horizon shorter than features are told apart it may miss some. `error` is forecast less peak, in cores or bytes; `covered`
/// says whether the calibrated quantile was enough: its mean over many rows should come near `target_level`.
const FORECAST_ERROR: &str = "
WITH used AS (
    SELECT workload, CASE metric WHEN 'cpu_used_cores' THEN 'cpu' ELSE 'memory' END AS resource,
        CAST(time AS BIGINT) AS at_ms, CAST(window_ms AS BIGINT) AS window_ms, \"max\" AS peak
    FROM features
    WHERE role = 'primary' AND metric IN ('cpu_used_cores', 'memory_working_set_bytes')
), seen AS (
    SELECT workload, resource, max(at_ms) AS until_ms FROM used GROUP BY workload, resource
), made AS (
    SELECT *, CAST(time AS BIGINT) AS from_ms, CAST(time AS BIGINT) + CAST(horizon_ms AS BIGINT) AS to_ms
    FROM forecasts
)
SELECT made.time, made.tenant, made.workload, made.resource, made.horizon_ms, made.expert, made.target_level,
    made.base, made.calibrated, max(used.peak) AS peak,
    made.base - max(used.peak) AS error, max(used.peak) <= made.calibrated AS covered
FROM made
JOIN seen ON seen.workload = made.workload AND seen.resource = made.resource AND made.to_ms <= seen.until_ms
JOIN used ON used.workload = made.workload AND used.resource = made.resource
    AND used.at_ms - used.window_ms >= made.from_ms AND used.at_ms <= made.to_ms
GROUP BY made.time, made.tenant, made.workload, made.resource, made.horizon_ms, made.expert, made.target_level,
    made.base, made.calibrated";

/// What each workload costs as decided, its shadow included: the price of each decision times the hours until the next.
/// `shadow_cost` is the shadow's part.
///
/// The last decision counts up to the newest decision of any workload. Decisions that an adapter refused, or that
/// were only observed, count as if they were in force; join `outcomes` where that matters.
const COST_BY_WORKLOAD: &str = "
SELECT tenant, workload, count(*) AS decisions, sum(hours) AS hours, sum((price + shadow) * hours) AS cost,
    sum(shadow * hours) AS shadow_cost, last_value(price + shadow ORDER BY sequence) AS price_per_hour
FROM (
    SELECT tenant, workload, sequence, price, shadow,
        (coalesce(lead(at_ms) OVER (PARTITION BY tenant, workload ORDER BY sequence), max(at_ms) OVER ()) - at_ms)
            / 3600000.0 AS hours
    FROM (
        SELECT tenant, workload, sequence, evidence_price_after AS price,
            coalesce(evidence_price_shadow, 0.0) AS shadow, CAST(time AS BIGINT) AS at_ms
        FROM decisions
    )
)
GROUP BY tenant, workload";

#[cfg(test)]
mod tests;
