//! How fast requests may follow one another (`VAULT_RATE_LIMIT`).

use std::time::Duration;

/// Requests in a second, on average, and how many at once after a pause.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Rate {
    per_second: f64,
    burst: f64,
}

/// A text is no rate.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no rate, such as 10 or 0.5:5 (requests in a second, and how many at once)")]
pub struct RateError;

impl Rate {
    /// Reads `rate` or `rate:burst`; without the second, the whole part of the first (Vault API library).
    ///
    /// # Errors
    ///
    /// If they are no numbers, or would let nothing pass.
    pub fn parse(text: &str) -> Result<Self, RateError> {
        let (rate, burst) = text.split_once(':').map_or((text, None), |(a, b)| (a, Some(b)));
        let per_second: f64 = rate.trim().parse().map_err(|_| RateError)?;
        let burst = match burst {
            Some(burst) => f64::from(burst.trim().parse::<u32>().map_err(|_| RateError)?),
            None => per_second.floor(),
        };
        if !per_second.is_finite() || per_second < SLOWEST {
            return Err(RateError);
        }
        Ok(Self { per_second, burst: burst.max(1.0) })
    }
}

/// One in a day.
const SLOWEST: f64 = 1.0 / 86_400.0;

/// When the requests of a run were sent.
pub(super) struct Pace {
    /// The time until which all that may be sent was sent, were they sent evenly.
    used_until: f64,
}

impl Default for Pace {
    fn default() -> Self {
        Self { used_until: f64::NEG_INFINITY }
    }
}

impl Pace {
    /// Counts a request, and says how long it has to wait.
    pub(super) fn next(&mut self, rate: &Rate, now: Duration) -> Duration {
        let now = now.as_secs_f64();
        let ahead = rate.burst / rate.per_second;
        self.used_until = self.used_until.max(now - ahead) + 1.0 / rate.per_second;
        Duration::try_from_secs_f64((self.used_until - now).max(0.0)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Pace, Rate, RateError};

    #[test]
    fn a_burst_passes_and_then_one_after_the_other() {
        let rate = Rate::parse("2:3").expect("valid");
        let mut pace = Pace::default();
        let mut next = |seconds| pace.next(&rate, Duration::from_secs(seconds)).as_secs_f64();
        // Three at once, then every half second; after a pause three again.
        assert_eq!([next(10), next(10), next(10), next(10), next(10)], [0.0, 0.0, 0.0, 0.5, 1.0]);
        assert_eq!([next(60), next(60), next(60), next(60)], [0.0, 0.0, 0.0, 0.5]);
    }

    #[test]
    fn a_rate_is_a_number_or_two() {
        assert_eq!(Rate::parse("0.5"), Ok(Rate { per_second: 0.5, burst: 1.0 }));
        assert_eq!(Rate::parse("10.9"), Ok(Rate { per_second: 10.9, burst: 10.0 }));
        for text in ["", "fast", "0", "-1", "1:", "1:x", "NaN", "inf"] {
            assert_eq!(Rate::parse(text), Err(RateError), "{text}");
        }
    }
}
