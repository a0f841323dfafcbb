//! How many replicas carry a load.

/// Relative rounding error that is forgiven before a further replica is asked for: 2.1 cores at
/// 0.7 a replica are three replicas, although the quotient of the two is just above 3.
const ROUNDING: f64 = 1e-9;

/// `ceil(load × (1 + headroom) / load_per_replica)`; saturates. `None` when `load` is not a load,
/// that is, not finite or negative.
#[must_use]
pub fn replicas_for(load: f64, headroom: f64, load_per_replica: f64) -> Option<u32> {
    if !load.is_finite() || load < 0.0 {
        return None;
    }
    let replicas = load * (1.0 + headroom) / load_per_replica;
    // `as` saturates: a load that no number of replicas carries asks for as many as there can be.
    Some((replicas * (1.0 - ROUNDING)).ceil() as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_up_but_not_for_a_rounding_error() {
        assert_eq!(replicas_for(2.1, 0.0, 0.7), Some(3));
        assert_eq!(replicas_for(2.11, 0.0, 0.7), Some(4));
        assert_eq!(replicas_for(2.1, 0.2, 0.7), Some(4));
        assert_eq!(replicas_for(0.0, 0.2, 0.7), Some(0));
        assert_eq!(replicas_for(0.01, 0.0, 0.7), Some(1));
    }

    #[test]
    fn what_is_not_a_load_has_no_answer() {
        for load in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0] {
            assert_eq!(replicas_for(load, 0.2, 0.7), None);
        }
        assert_eq!(replicas_for(f64::MAX, 0.2, 0.7), Some(u32::MAX));
    }
}
