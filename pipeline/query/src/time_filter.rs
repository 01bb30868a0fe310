//! Comparisons of `time` with a constant as bounds, so that a source or a folder reads less.
//!
//! The bounds may be wider than the filters, never narrower: the engine applies the filters to every row again. By the
//! time a table is scanned the engine has taken `BETWEEN`, `now()` and conjunctions apart and put the column on the
//! left.

use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::BinaryExpr;
use datafusion::logical_expr::{Expr, Operator};
use schemas::EventTime;

use crate::Bounds;

/// The instants that can pass all filters.
pub(crate) fn bounds(filters: &[Expr]) -> Bounds {
    filters.iter().filter_map(comparison).fold(Bounds::default(), |all, one| all.and(&one))
}

fn comparison(filter: &Expr) -> Option<Bounds> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = filter else { return None };
    let Expr::Literal(constant, _) = right.as_ref() else { return None };
    let millis = is_time(left).then(|| millis(constant)).flatten()?;
    let from = Some(EventTime::from_millis(millis));
    let to = Some(EventTime::from_millis(millis.saturating_add(1)));
    match op {
        Operator::Gt | Operator::GtEq => Some(Bounds { from, ..Bounds::default() }),
        Operator::Lt | Operator::LtEq => Some(Bounds { to, ..Bounds::default() }),
        Operator::Eq => Some(Bounds { from, to, records_max: None }),
        _ => None,
    }
}

/// The column itself, or cast to the constant's unit.
fn is_time(expr: &Expr) -> bool {
    match expr {
        Expr::Column(column) => column.name == "time",
        Expr::Cast(cast) => is_time(&cast.expr),
        _ => false,
    }
}

/// A constant's millisecond, rounded down. None for coarser units: a time cast to seconds equals more than one instant.
fn millis(constant: &ScalarValue) -> Option<u64> {
    let millis = match constant {
        ScalarValue::TimestampMillisecond(value, _) => (*value)?,
        ScalarValue::TimestampMicrosecond(value, _) => (*value)?.div_euclid(1_000),
        ScalarValue::TimestampNanosecond(value, _) => (*value)?.div_euclid(1_000_000),
        _ => return None,
    };
    Some(u64::try_from(millis).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::DataType;
    use datafusion::logical_expr::{cast, col, lit};

    use super::*;

    fn nanos(nanos: i64) -> Expr {
        lit(ScalarValue::TimestampNanosecond(Some(nanos), None))
    }

    fn span(from: Option<u64>, to: Option<u64>) -> Bounds {
        Bounds { from: from.map(EventTime::from_millis), to: to.map(EventTime::from_millis), records_max: None }
    }

    #[test]
    fn each_comparison_bounds_its_side() {
        let millis = |value| lit(ScalarValue::TimestampMillisecond(Some(value), Some("UTC".into())));
        assert_eq!(bounds(&[col("time").gt_eq(millis(5))]), span(Some(5), None));
        assert_eq!(bounds(&[col("time").lt_eq(millis(5))]), span(None, Some(6)));
        assert_eq!(bounds(&[col("time").eq(millis(5))]), span(Some(5), Some(6)));
        assert_eq!(bounds(&[col("time").gt(millis(5)), col("time").lt(millis(9))]), span(Some(5), Some(10)));
        assert_eq!(bounds(&[col("time").gt(millis(-5))]), span(Some(0), None));
    }

    #[test]
    fn finer_units_round_to_the_wider_side() {
        // 1.5 ms: rows at 2 ms pass `> 1.5`, rows at 1 ms pass `< 1.5`; the bounds [1, …) and (…, 2) hold them.
        let time = || cast(col("time"), DataType::Timestamp(datafusion::arrow::datatypes::TimeUnit::Nanosecond, None));
        assert_eq!(bounds(&[time().gt(nanos(1_500_000))]), span(Some(1), None));
        assert_eq!(bounds(&[time().lt(nanos(1_500_000))]), span(None, Some(2)));
    }

    #[test]
    fn what_is_no_plain_comparison_bounds_nothing() {
        let date = cast(col("time"), DataType::Date32).gt_eq(lit(ScalarValue::Date32(Some(1))));
        let seconds = lit(ScalarValue::TimestampSecond(Some(1), None));
        let either = col("time").gt(nanos(1)).or(col("workload").eq(lit("w")));
        let other = col("expires").gt(nanos(1));
        assert_eq!(
            bounds(&[date, col("time").lt_eq(seconds), either, other, col("time").not_eq(nanos(1))]),
            span(None, None)
        );
    }
}
