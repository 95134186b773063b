//! Words must be right, and must not read alike for different meanings.

use std::collections::HashMap;

use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};

use super::{brute_expression::expressions, parse};

#[test]
fn phrases() {
  for (text, phrase) in [
    ("30 2 * * *", "every day at 02:30"),
    ("@daily", "every day at 00:00"),
    ("@hourly", "every hour"),
    ("@weekly", "every Sunday at 00:00"),
    ("@yearly", "on the 1st of the month at 00:00 in January"),
    ("* * * * *", "every minute"),
    ("* * * * * *", "every second"),
    ("*/15 * * * *", "every 15 minutes"),
    ("*/10 * * * * *", "every 10 seconds"),
    ("30 * * * * *", "at second 30 of every minute"),
    ("*/7 * * * *", "every hour at minutes 0, 7, 14, 21, 28, 35, 42, 49 and 56"),
    ("5,35 * * * *", "every hour at minutes 5 and 35"),
    ("0 */2 * * *", "every 2 hours"),
    ("5 */6 * * *", "every day at 00:05, 06:05, 12:05 and 18:05"),
    ("*/15 9-17 * * 1-5", "every 15 minutes from 09:00 to 17:45, every Monday to Friday"),
    ("30 9-17 * * *", "every hour from 09:30 to 17:30"),
    ("* 9 * * *", "every minute from 09:00 to 09:59"),
    ("*/20 1,5,9 * * *", "every 20 minutes in the hours 01, 05 and 09"),
    ("1,2 9-17 * * *", "at minutes 1 and 2 of the hours 09 to 17"),
    ("0 9 * * 6,0", "every Saturday and Sunday at 09:00"),
    ("0 9 * * FRI-SUN", "every Friday to Sunday at 09:00"),
    ("0 9 * * MON#2,5L", "on the second Monday and the last Friday of the month at 09:00"),
    ("0 9 1,15,31 * *", "on the 1st, 15th and 31st of the month at 09:00"),
    (
      "0 9 15W,LW,L * *",
      "on the working day nearest the 15th, \
       the last working day and the last day of the month at 09:00",
    ),
    ("0 9 2 * MON", "on the 2nd of the month or every Monday at 09:00"),
    ("0 0 */16 * MON", "on the 1st and 17th of the month if it is Monday at 00:00"),
    ("0 0 1-31 * MON", "every day at 00:00"),
    ("0 0 ? * MON", "every Monday at 00:00"),
    (
      "15 0 0 1 JAN,JUN-AUG ? 2030",
      "on the 1st of the month at 00:00:15 \
       in January and June to August in 2030",
    ),
  ] {
    assert_eq!(parse(text).describe(), phrase, "{text}");
  }
}

/// Two expressions with one description must fire alike: the words leave nothing out.
#[test]
fn equal_words_mean_equal_fires() {
  let mut runner = TestRunner::deterministic();
  let mut seen: HashMap<String, (String, _)> = HashMap::new();
  for _ in 0..3000 {
    let sample = expressions().new_tree(&mut runner).unwrap().current();
    let Ok(expression) = super::CronExpression::parse(&sample.text(), 1) else { continue };
    let described = (sample.text(), expression.meaning());
    if let Some((text, meaning)) = seen.insert(expression.describe(), described) {
      let other = format!("{text} and {}: {}", sample.text(), expression.describe());
      assert!(meaning == expression.meaning(), "{other}");
    }
  }
}
