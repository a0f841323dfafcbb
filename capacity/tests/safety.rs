//! The safety order, as properties over any input and as scenarios in virtual time.

use capacity::{
    Autoscaler, Decision, Effect, FallbackCause, Input, Mode, Observation, Outlook, Policy,
    PolicySpec, Reason, Situation, plan, replicas_for,
};
use forecast::{Forecast, ForecastParts, IntervalSource, Quantile, Quantiles, Step, Timestamp};
use proptest::prelude::*;

fn at(minutes: i64) -> Timestamp {
    Timestamp::from_second(minutes * 60).expect("a test's time is representable")
}

/// A forecast from `origin` on whose 0.9 quantile is `upper` and whose points are half of it.
fn forecast(origin: Timestamp, upper: &[f64]) -> Forecast {
    let half: Vec<f64> = upper.iter().map(|u| u / 2.0).collect();
    Forecast::new(ForecastParts {
        origin,
        step: Step::FIVE_MINUTES,
        points: half.clone(),
        quantiles: Quantiles::new(vec![Quantile::P10, Quantile::P90])
            .expect("two quantiles are a set"),
        paths: vec![half, upper.to_vec()],
        peaks: None,
        interval: IntervalSource::ValidationResiduals,
    })
    .expect("a test's forecast is finite")
}

fn policy(change: impl FnOnce(&mut PolicySpec)) -> Policy {
    let mut spec = PolicySpec { load_per_replica: 1.0, headroom: 0.0, ..PolicySpec::default() };
    change(&mut spec);
    Policy::try_from(spec).expect("a test's policy holds together")
}

fn observed(minutes: i64, load: f64) -> Input {
    Input::Observed(Observation { time: at(minutes), load })
}

fn decide(autoscaler: &mut Autoscaler, minutes: i64, current: u32) -> Decision {
    match autoscaler.handle(at(minutes), Input::Decide { current }).swap_remove(0) {
        Effect::Record(decision) => decision,
        other => panic!("a decision is recorded first, got {other:?}"),
    }
}

fn codes(decision: &Decision) -> Vec<&'static str> {
    decision.reasons.iter().map(Reason::code).collect()
}

#[test]
fn raises_before_the_load_arrives() {
    let mut autoscaler = Autoscaler::new(policy(|_| ()), Mode::Active);
    autoscaler.handle(at(0), observed(0, 3.0));
    autoscaler.handle(at(0), Input::Forecast(forecast(at(0), &[4.0, 8.0, 2.0])));
    let effects = autoscaler.handle(at(0), Input::Decide { current: 4 });
    assert_eq!(effects[1], Effect::SetReplicas { from: 4, to: 8 });
    let Effect::Record(decision) = &effects[0] else { panic!("recorded first") };
    assert_eq!(codes(decision), ["LoadNow", "ForecastPeak"]);
    assert_eq!(
        decision.reasons[1].to_string(),
        "q0.9 peaks at 8.00 within 10 min, with 0 % headroom needs 8"
    );
}

#[test]
fn shadow_mode_decides_the_same_and_touches_nothing() {
    let mut autoscaler = Autoscaler::new(policy(|_| ()), Mode::Shadow);
    autoscaler.handle(at(0), observed(0, 9.0));
    let effects = autoscaler.handle(at(0), Input::Decide { current: 4 });
    assert_eq!(effects.len(), 1);
    assert!(matches!(&effects[0], Effect::Record(d) if d.planned == 9 && d.mode == Mode::Shadow));
}

#[test]
fn lowers_late_after_the_window_and_the_whole_horizon() {
    let mut autoscaler = Autoscaler::new(policy(|_| ()), Mode::Active);
    let mut replicas = 12;
    let mut trace = Vec::new();
    for minutes in (0..40).step_by(5) {
        autoscaler.handle(at(minutes), observed(minutes, 2.0));
        let far_peak = if minutes < 20 { 7.0 } else { 3.0 };
        let path = [3.0, 3.0, 3.0, far_peak];
        autoscaler.handle(at(minutes), Input::Forecast(forecast(at(minutes), &path)));
        let decision = decide(&mut autoscaler, minutes, replicas);
        replicas = decision.planned;
        trace.push((replicas, codes(&decision).last().copied().unwrap_or_default()));
    }
    assert_eq!(
        trace,
        [
            (12, "Stabilization"),
            (12, "Stabilization"),
            (12, "Stabilization"),
            (7, "HorizonPeak"),
            (7, "Stabilization"),
            (7, "Stabilization"),
            (4, "RampDown"),
            (3, "ForecastPeak"),
        ]
    );
}

#[test]
fn falls_back_step_by_step_and_never_to_the_minimum() {
    let mut autoscaler = Autoscaler::new(policy(|_| ()), Mode::Active);
    autoscaler.handle(at(0), observed(0, 6.0));
    autoscaler.handle(at(0), Input::Forecast(forecast(at(0), &[9.0; 3])));
    autoscaler.handle(at(0), Input::SeasonalForecast(forecast(at(0), &[7.0; 12])));
    assert_eq!(decide(&mut autoscaler, 0, 6).planned, 9);

    autoscaler.handle(at(5), Input::ForecastFailed(FallbackCause::MetricsUnavailable));
    let decision = decide(&mut autoscaler, 5, 6);
    assert_eq!(decision.planned, 9);
    assert_eq!(codes(&decision), ["LoadNow", "LastGoodForecast", "ForecastPeak"]);

    let decision = decide(&mut autoscaler, 16, 6);
    assert_eq!(codes(&decision), ["LoadUnknown", "SeasonalForecast", "ForecastPeak"]);
    assert_eq!(decision.planned, 7);

    let decision = decide(&mut autoscaler, 70, 6);
    assert_eq!(codes(&decision), ["LoadUnknown", "NoForecast", "Hold"]);
    assert_eq!(decision.planned, 6);
}

#[test]
fn a_drifting_model_gives_way_to_seasonal_naive() {
    let mut autoscaler = Autoscaler::new(policy(|_| ()), Mode::Active);
    autoscaler.handle(at(0), observed(0, 6.0));
    autoscaler.handle(at(0), Input::Forecast(forecast(at(0), &[30.0; 12])));
    autoscaler.handle(at(0), Input::SeasonalForecast(forecast(at(0), &[7.0; 12])));
    autoscaler.handle(at(0), Input::ForecastFailed(FallbackCause::Drifting));
    let decision = decide(&mut autoscaler, 0, 6);
    assert_eq!(codes(&decision), ["LoadNow", "SeasonalForecast", "ForecastPeak"]);
    assert_eq!(decision.planned, 7);
}

#[test]
fn the_ramp_limits_the_forecast_but_not_the_load() {
    let mut autoscaler = Autoscaler::new(policy(|_| ()), Mode::Active);
    autoscaler.handle(at(0), observed(0, 2.0));
    autoscaler.handle(at(0), Input::Forecast(forecast(at(0), &[40.0; 12])));
    let decision = decide(&mut autoscaler, 0, 2);
    assert_eq!((decision.planned, codes(&decision).pop()), (6, Some("RampUp")));
    autoscaler.handle(at(5), observed(5, 20.0));
    assert_eq!(decide(&mut autoscaler, 5, 2).planned, 20);
}

#[test]
fn a_workload_at_zero_is_left_alone() {
    let mut autoscaler = Autoscaler::new(policy(|_| ()), Mode::Active);
    autoscaler.handle(at(0), observed(0, 20.0));
    let effects = autoscaler.handle(at(0), Input::Decide { current: 0 });
    assert_eq!(effects.len(), 1);
    assert!(matches!(&effects[0], Effect::Record(d) if d.reasons == [Reason::ScaledToZero]));
}

/// Replicas after decisions at these minutes, with a load of 2 and a low forecast at each.
fn lowered(spec: impl FnOnce(&mut PolicySpec), minutes: impl Iterator<Item = i64>) -> Vec<u32> {
    let mut autoscaler = Autoscaler::new(policy(spec), Mode::Active);
    let mut replicas = 12;
    minutes
        .map(|at_minute| {
            autoscaler.handle(at(at_minute), observed(at_minute, 2.0));
            let low = forecast(at(at_minute), &[2.0; 12]);
            autoscaler.handle(at(at_minute), Input::Forecast(low));
            replicas = decide(&mut autoscaler, at_minute, replicas).planned;
            replicas
        })
        .collect()
}

#[test]
fn a_window_shorter_than_the_distance_of_decisions_still_lets_go() {
    let none = jiff::SignedDuration::ZERO;
    let minutes = || (0..60).step_by(15);
    assert_eq!(lowered(|s| s.scale_down_stabilization = none, minutes()), [12, 6, 3, 2]);
    assert_eq!(lowered(|_| (), minutes()), [12, 6, 3, 2]);
}

#[test]
fn what_was_held_in_an_outage_is_not_cut_when_it_ends() {
    let mut autoscaler = Autoscaler::new(policy(|_| ()), Mode::Active);
    for minutes in [0, 5, 10, 15] {
        assert_eq!(decide(&mut autoscaler, minutes, 12).planned, 12);
    }
    for minutes in [20, 25] {
        autoscaler.handle(at(minutes), observed(minutes, 2.0));
        autoscaler.handle(at(minutes), Input::Forecast(forecast(at(minutes), &[2.0; 12])));
        let decision = decide(&mut autoscaler, minutes, 12);
        assert_eq!((decision.planned, codes(&decision).pop()), (12, Some("Stabilization")));
    }
    autoscaler.handle(at(30), observed(30, 2.0));
    assert_eq!(decide(&mut autoscaler, 30, 12).planned, 6);
}

#[test]
fn an_old_forecast_raises_but_does_not_lower() {
    let none = jiff::SignedDuration::ZERO;
    let no_window = policy(|s| s.scale_down_stabilization = none);
    let mut autoscaler = Autoscaler::new(no_window, Mode::Active);
    decide(&mut autoscaler, -5, 9);
    autoscaler.handle(at(0), Input::Forecast(forecast(at(0), &[2.0; 12])));
    autoscaler.handle(at(40), observed(40, 2.0));
    autoscaler.handle(at(40), Input::ForecastFailed(FallbackCause::ModelFailed));
    let decision = decide(&mut autoscaler, 40, 9);
    assert_eq!((decision.planned, codes(&decision).pop()), (9, Some("Hold")));
}

#[test]
fn a_workload_started_from_zero_is_not_cut_at_once() {
    let mut autoscaler = Autoscaler::new(policy(|_| ()), Mode::Active);
    decide(&mut autoscaler, 0, 0);
    autoscaler.handle(at(5), observed(5, 2.0));
    autoscaler.handle(at(5), Input::Forecast(forecast(at(5), &[2.0; 12])));
    let decision = decide(&mut autoscaler, 5, 20);
    assert_eq!((decision.planned, codes(&decision).pop()), (20, Some("Stabilization")));
}

#[test]
fn a_restart_does_not_scale_down() {
    let mut autoscaler = Autoscaler::new(policy(|_| ()), Mode::Active);
    autoscaler.handle(at(0), observed(0, 2.0));
    autoscaler.handle(at(0), Input::Forecast(forecast(at(0), &[2.0; 12])));
    let decision = decide(&mut autoscaler, 0, 30);
    assert_eq!((decision.planned, codes(&decision).pop()), (30, Some("Stabilization")));
}

proptest! {
    #[test]
    fn within_bounds_for_any_float(
        load in prop::option::of(prop::num::f64::ANY),
        narrow in prop::num::f32::ANY,
        upper in prop::collection::vec(0.0..f64::MAX, 1..12),
        has_forecast in any::<bool>(),
        current in 1_u32..1000,
        recommended in prop::option::of(any::<u32>()),
        (min, span) in (1_u32..100, 0_u32..100),
    ) {
        let policy = policy(|s| { s.min_replicas = min; s.max_replicas = min + span });
        let forecast = forecast(at(0), &upper);
        let cause = FallbackCause::ModelFailed;
        let outlook =
            if has_forecast { Outlook::Fresh(&forecast) } else { Outlook::Nothing(cause) };
        for load in [load, Some(f64::from(narrow))] {
            let load = load.map(|load| Observation { time: at(0), load });
            let situation = Situation { now: at(0), current, load, outlook, recommended };
            let plan = plan(&policy, &situation);
            prop_assert!((min..=min + span).contains(&plan.replicas), "{plan:?}");
            prop_assert!(!plan.reasons.is_empty());
        }
    }

    #[test]
    fn never_below_what_the_load_needs(
        load in 0.0..200.0_f64,
        upper in prop::collection::vec(0.0..200.0_f64, 1..12),
        current in 1_u32..60,
        recommended in prop::option::of(0_u32..60),
    ) {
        let policy = policy(|s| s.load_per_replica = 0.7);
        let forecast = forecast(at(0), &upper);
        let outlook = Outlook::Fresh(&forecast);
        let observation = Some(Observation { time: at(0), load });
        let situation =
            Situation { now: at(0), current, load: observation, outlook, recommended };
        let need = policy.bound(replicas_for(load, 0.0, 0.7).unwrap());
        prop_assert!(plan(&policy, &situation).replicas >= need);
    }

    #[test]
    fn monotone_in_the_load_and_in_the_forecast(
        (low, more) in (0.0..60.0_f64, 0.0..60.0_f64),
        (peak, higher) in (0.0..60.0_f64, 0.0..60.0_f64),
        current in 1_u32..60,
        recommended in prop::option::of(0_u32..60),
    ) {
        let policy = policy(|_| ());
        let planned = |load: f64, peak: f64| {
            let forecast = forecast(at(0), &[peak, peak / 2.0, peak * 1.5]);
            let outlook = Outlook::Fresh(&forecast);
            let load = Some(Observation { time: at(0), load });
            plan(&policy, &Situation { now: at(0), current, load, outlook, recommended }).replicas
        };
        prop_assert!(planned(low, peak) <= planned(low + more, peak));
        prop_assert!(planned(low, peak) <= planned(low, peak + higher));
    }

    #[test]
    fn what_is_not_known_never_lowers(
        load in prop::option::of(0.0..10.0_f64),
        current in 2_u32..50,
    ) {
        let policy = policy(|_| ());
        let outlook = Outlook::Nothing(FallbackCause::NoModel);
        let load = load.map(|load| Observation { time: at(0), load });
        let situation = Situation { now: at(0), current, load, outlook, recommended: None };
        prop_assert!(plan(&policy, &situation).replicas >= current);
    }
}
