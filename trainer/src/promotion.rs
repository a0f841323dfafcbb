//! Whether a challenger goes into service.

use std::fmt;

use forecast::accuracy::Scores;
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

/// Why a challenger is not promoted. Losses are weighted quantile losses on the test part, since plans
/// rest on quantiles; mean absolute errors where the load was zero all through it.
#[derive(Clone, PartialEq, Debug)]
pub enum Defeat {
    /// Another did better.
    Worse {
        /// The challenger's loss.
        ours: f64,
        /// Who did better.
        by: &'static str,
        /// The loss of that.
        theirs: f64,
    },
    /// Too little of the test part was observed to tell, and there is a model in service.
    Unscored,
}

impl fmt::Display for Defeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Worse { ours, by, theirs } => {
                write!(
                    f,
                    "its quantile loss on the test part is {ours:.4}, that of {by} {theirs:.4}"
                )
            }
            Self::Unscored => f.write_str(
                "too little of the test part, the last tenth, was observed to compare it with the \
                 model in service",
            ),
        }
    }
}

impl Promotion {
    /// Judges by `scores` against a champion, if there is one; what is not known of the others refuses
    /// nothing.
    pub(crate) fn judge(scores: &ScoresSummary, champion: bool, forced: bool) -> Self {
        let defeat = match scores.model {
            None => champion.then_some(Defeat::Unscored),
            Some(ours) => worse(loss(&ours), scores),
        };
        match (defeat, forced) {
            (None, _) => Self::Earned,
            (Some(defeat), true) => Self::Forced(defeat),
            (Some(defeat), false) => Self::Refused(defeat),
        }
    }
}

/// What contenders are compared by.
pub(crate) fn loss(scores: &Scores) -> f64 {
    scores.wql.unwrap_or(scores.mae)
}

fn worse(ours: f64, scores: &ScoresSummary) -> Option<Defeat> {
    let rivals =
        [("the model in service", scores.champion), ("seasonal naive", scores.seasonal_naive)];
    let theirs = rivals.into_iter().filter_map(|(by, scores)| Some((by, loss(&scores?))));
    // Against the best of them, since that is the one to beat.
    let (by, theirs) = theirs.min_by(|a, b| a.1.total_cmp(&b.1))?;
    (ours > theirs).then_some(Defeat::Worse { ours, by, theirs })
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let judge = |summary| Promotion::judge(&summary, true, false);
        assert_eq!(judge(summary(1.0, 1.0, 2.0)), Promotion::Earned);
        let Promotion::Refused(defeat) = judge(summary(1.5, 1.25, 2.0)) else { panic!() };
        assert_eq!(
            defeat.to_string(),
            "its quantile loss on the test part is 1.5000, that of the model in service 1.2500"
        );
        let Promotion::Refused(defeat) = judge(summary(1.5, 2.0, 1.0)) else { panic!() };
        assert!(matches!(defeat, Defeat::Worse { by: "seasonal naive", .. }));
        let forced = Promotion::judge(&summary(1.5, 2.0, 1.0), true, true);
        assert!(matches!(forced, Promotion::Forced(_)));
    }

    #[test]
    fn what_could_not_be_scored_replaces_no_champion() {
        let none = ScoresSummary { model: None, champion: None, seasonal_naive: None };
        assert_eq!(Promotion::judge(&none, true, false), Promotion::Refused(Defeat::Unscored));
        assert_eq!(Promotion::judge(&none, false, false), Promotion::Earned);
        let first = ScoresSummary { model: scores(1.0), champion: None, seasonal_naive: None };
        assert_eq!(Promotion::judge(&first, false, false), Promotion::Earned);
    }
}
