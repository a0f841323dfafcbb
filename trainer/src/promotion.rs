//! Whether a challenger goes into service.

use std::fmt;

use model::ScoresSummary;

/// What became of a challenger.
#[derive(Clone, PartialEq, Debug)]
pub enum Promotion {
    /// It is not worse than the champion and seasonal naive on the same days.
    Earned,
    /// It is worse, and goes into service all the same, because that was asked for.
    Forced(Defeat),
    /// It is worse: the champion stays.
    Refused(Defeat),
}

/// Why a challenger is not promoted. Errors are mean absolute ones on the test part.
#[derive(Clone, PartialEq, Debug)]
pub struct Defeat {
    /// The challenger's error.
    pub ours: f64,
    /// Who did better.
    pub by: &'static str,
    /// The error of that.
    pub theirs: f64,
}

impl fmt::Display for Defeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ours, by, theirs } = self;
        write!(f, "its mean error on the test part is {ours:.4}, that of {by} {theirs:.4}")
    }
}

impl Promotion {
    /// Judges by `scores`; those that are not known refuse nothing.
    pub(crate) fn judge(scores: &ScoresSummary, forced: bool) -> Self {
        match (defeat(scores), forced) {
            (None, _) => Self::Earned,
            (Some(defeat), true) => Self::Forced(defeat),
            (Some(defeat), false) => Self::Refused(defeat),
        }
    }
}

fn defeat(scores: &ScoresSummary) -> Option<Defeat> {
    let ours = scores.model?.mae;
    let rivals =
        [("the model in service", scores.champion), ("seasonal naive", scores.seasonal_naive)];
    let theirs = rivals.into_iter().filter_map(|(by, scores)| Some((by, scores?.mae)));
    // Against the best of them, since that is the one to beat.
    let (by, theirs) = theirs.min_by(|a, b| a.1.total_cmp(&b.1))?;
    (ours > theirs).then_some(Defeat { ours, by, theirs })
}

#[cfg(test)]
mod tests {
    use super::*;
    use forecast::accuracy::Scores;

    fn scores(mae: f64) -> Option<Scores> {
        let (mape, wape, mase, wql) = (None, None, None, None);
        let (rmse, mape_excluded, smape, coverage_80) = (mae, 0.0, 0.0, 0.8);
        let count = 100;
        Some(Scores { count, mae, rmse, mape, mape_excluded, smape, wape, mase, wql, coverage_80 })
    }

    #[test]
    fn as_good_is_good_enough_and_worse_is_not() {
        let summary = |ours, champion, naive| ScoresSummary {
            model: scores(ours),
            champion: scores(champion),
            seasonal_naive: scores(naive),
        };
        let judge = |summary| Promotion::judge(&summary, false);
        assert_eq!(judge(summary(1.0, 1.0, 2.0)), Promotion::Earned);
        let Promotion::Refused(defeat) = judge(summary(1.5, 1.25, 2.0)) else { panic!() };
        assert_eq!(
            defeat.to_string(),
            "its mean error on the test part is 1.5000, that of the model in service 1.2500"
        );
        let Promotion::Refused(defeat) = judge(summary(1.5, 2.0, 1.0)) else { panic!() };
        assert_eq!(defeat.by, "seasonal naive");
        let forced = Promotion::judge(&summary(1.5, 2.0, 1.0), true);
        assert!(matches!(forced, Promotion::Forced(_)));
    }

    #[test]
    fn what_is_not_known_refuses_nothing() {
        let none = ScoresSummary { model: None, champion: scores(1.0), seasonal_naive: None };
        assert_eq!(Promotion::judge(&none, false), Promotion::Earned);
        let first = ScoresSummary { model: scores(1.0), champion: None, seasonal_naive: None };
        assert_eq!(Promotion::judge(&first, false), Promotion::Earned);
    }
}
