//! Parameters of a task from the command line: `key=value` pairs, or one JSON object.

use std::fs;
use std::io::Read;

use serde_json::{Map, Value};

use super::error::CliError;

/// How parameters are named on the command line.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct ParamArgs {
    /// Parameters, as key=value; a value that is JSON is taken as such, every other one as a string
    #[arg(value_name = "KEY=VALUE")]
    pairs: Vec<String>,
    /// All parameters as one JSON object: the text itself, @FILE, or - for standard input. Sensitive ones belong into
    /// a file, since other users see command lines
    #[arg(long, value_name = "JSON", allow_hyphen_values = true)]
    params: Option<String>,
}

impl ParamArgs {
    /// The parameters as one object; a pair overrides the same key of `--params`.
    ///
    /// # Errors
    /// A usage error which names the part that is wrong, but never a value: it may be a secret.
    pub(crate) fn resolve(&self) -> Result<Map<String, Value>, CliError> {
        let mut params = match &self.params {
            None => Map::new(),
            Some(source) => object(&read(source)?, source)?,
        };
        let mut seen = std::collections::BTreeSet::new();
        for (index, pair) in self.pairs.iter().enumerate() {
            let (key, value) = parse_pair(pair).map_err(|reason| {
                // By its place, not by its text: a value that lost its key may be a secret.
                CliError::Usage(format!("parameter number {} {reason}: write it as key=value", index + 1))
            })?;
            if !seen.insert(key.to_owned()) {
                return Err(CliError::Usage(format!("the parameter '{key}' is given twice")));
            }
            params.insert(key.to_owned(), value);
        }
        Ok(params)
    }
}

/// Splits at the first `=`. A value that is a whole JSON text is that JSON, every other one a string.
fn parse_pair(pair: &str) -> Result<(&str, Value), &'static str> {
    let (key, text) = pair.split_once('=').ok_or("has no '='")?;
    if key.is_empty() {
        return Err("has no name before its '='");
    }
    let value = serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()));
    Ok((key, value))
}

fn read(source: &str) -> Result<String, CliError> {
    let unreadable = |error| CliError::Usage(format!("cannot read the parameters from {source}: {error}"));
    if source == "-" {
        let mut text = String::new();
        std::io::stdin().lock().read_to_string(&mut text).map_err(unreadable)?;
        return Ok(text);
    }
    match source.strip_prefix('@') {
        Some(path) => fs::read_to_string(path).map_err(unreadable),
        None => Ok(source.to_owned()),
    }
}

fn object(text: &str, source: &str) -> Result<Map<String, Value>, CliError> {
    let shown = if source == "-" || source.starts_with('@') { source } else { "--params" };
    match serde_json::from_str(text) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err(CliError::Usage(format!("the parameters of {shown} are not a JSON object"))),
        Err(error) => Err(CliError::Usage(format!(
            "the parameters of {shown} are not JSON: line {}, column {}",
            error.line(),
            error.column()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn resolve(pairs: &[&str], params: Option<&str>) -> Result<Value, String> {
        let args =
            ParamArgs { pairs: pairs.iter().map(ToString::to_string).collect(), params: params.map(str::to_owned) };
        args.resolve().map(Value::Object).map_err(|error| error.to_string())
    }

    #[test]
    fn values_are_json_where_they_are_json() {
        let pairs = ["a=1", "b=true", "c=[1,\"x\"]", "d=plain text", "e=", "f=\"1\"", "g=x=y", "h=null", "i=1.2.3"];
        let expected = json!({"a": 1, "b": true, "c": [1, "x"], "d": "plain text", "e": "", "f": "1", "g": "x=y", "h": null, "i": "1.2.3"});
        assert_eq!(resolve(&pairs, None).unwrap(), expected);
    }

    #[test]
    fn a_file_is_read_and_pairs_override_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), r#"{"a": 1, "b": 2}"#).unwrap();
        let source = format!("@{}", file.path().display());
        assert_eq!(resolve(&["b=3"], Some(&source)).unwrap(), json!({"a": 1, "b": 3}));
        assert_eq!(resolve(&[], Some(r#"{"x": {"y": 1}}"#)).unwrap(), json!({"x": {"y": 1}}));
    }

    #[test]
    fn what_is_wrong_is_named_and_values_are_not_shown() {
        assert!(resolve(&["word"], None).unwrap_err().contains("number 1 has no '='"));
        assert!(resolve(&["=secret"], None).unwrap_err().contains("no name"));
        assert!(resolve(&["a=1", "a=2"], None).unwrap_err().contains("'a' is given twice"));
        assert!(resolve(&[], Some("[1]")).unwrap_err().contains("not a JSON object"));
        let error = resolve(&[], Some(r#"{"password": "hunter2""#)).unwrap_err();
        assert!(error.contains("line 1") && !error.contains("hunter2"), "{error}");
        assert!(resolve(&[], Some("@/nonexistent/file")).unwrap_err().contains("@/nonexistent/file"));
    }

    proptest! {
        #[test]
        fn any_json_value_survives(text in "\\PC{0,30}", number: i64) {
            for value in [Value::String(text.clone()), json!(number), json!([text, number])] {
                let pair = format!("key={value}");
                prop_assert_eq!(parse_pair(&pair).unwrap(), ("key", value));
            }
        }

        #[test]
        fn any_text_is_a_pair_or_a_usage_error(text in "\\PC{0,40}") {
            if let Ok((key, _)) = parse_pair(&text) {
                prop_assert!(text.starts_with(key) && !key.is_empty());
            }
        }
    }
}
