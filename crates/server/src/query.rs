//! Query strings, read strictly: a parameter that a route does not know is refused by name.
//!
//! The forms of the contract: `name=value`; lists as `name[]=value`, repeated; ranges as `created_at[gte]=time`.
//! `beta` is what older SDKs put on every URL, and is ignored.

use daybreak_api::error::{ApiError, Result};
use daybreak_api::time::Timestamp;
use daybreak_store::page::{Created, Order};

/// The bounds of a time range.
pub(crate) const CREATED: [&str; 4] = ["created_at[gt]", "created_at[gte]", "created_at[lt]", "created_at[lte]"];

/// The parameters of a request.
#[derive(Debug)]
pub(crate) struct Params {
    pairs: Vec<(String, String)>,
}

impl Params {
    /// Reads the query. `known` names what the route understands, lists with their `[]`.
    pub(crate) fn new(raw: Option<&str>, known: &[&str]) -> Result<Self> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for part in raw.unwrap_or_default().split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let name = decode(name).ok_or_else(|| not_utf8("the query"))?;
            let value = decode(value).ok_or_else(|| not_utf8(&name))?;
            if name == "beta" {
                continue;
            }
            if !known.contains(&name.as_str()) {
                return Err(unknown(&name, known));
            }
            if !name.ends_with("[]") && pairs.iter().any(|(before, _)| *before == name) {
                return Err(ApiError::invalid(format!("{name}: given more than once")));
            }
            pairs.push((name, value));
        }
        Ok(Self { pairs })
    }

    /// A parameter's text.
    pub(crate) fn opt(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A whole number.
    pub(crate) fn opt_u32(&self, name: &str) -> Result<Option<u32>> {
        self.number(name)
    }

    /// A version: a whole number from 1.
    pub(crate) fn opt_version(&self, name: &str) -> Result<Option<i64>> {
        let version: Option<i64> = self.number(name)?;
        if version.is_some_and(|version| version < 1) {
            return Err(ApiError::invalid(format!("{name}: expected a whole number from 1")));
        }
        Ok(version)
    }

    fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>> {
        let parse = |text: &str| {
            let plain = text.bytes().all(|byte| byte.is_ascii_digit());
            let number = if plain { text.parse().ok() } else { None };
            number.ok_or_else(|| ApiError::invalid(format!("{name}: expected a whole number")))
        };
        self.opt(name).map(parse).transpose()
    }

    /// A flag; false when absent.
    pub(crate) fn flag(&self, name: &str) -> Result<bool> {
        match self.opt(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(ApiError::invalid(format!("{name}: expected true or false"))),
        }
    }

    /// The values of a list, in their order. `name` has no brackets.
    pub(crate) fn list(&self, name: &str) -> Vec<&str> {
        let is_of_list = |known: &str| known.strip_suffix("[]") == Some(name);
        self.pairs.iter().filter(|(known, _)| is_of_list(known)).map(|(_, value)| value.as_str()).collect()
    }

    /// Which way the list runs.
    pub(crate) fn order(&self, default: Order) -> Result<Order> {
        match self.opt("order") {
            None => Ok(default),
            Some("asc") => Ok(Order::Asc),
            Some("desc") => Ok(Order::Desc),
            Some(_) => Err(ApiError::invalid("order: expected asc or desc")),
        }
    }

    /// The range `name[gt]`, `name[gte]`, `name[lt]`, `name[lte]`, folded into inclusive bounds.
    pub(crate) fn created(&self, name: &str) -> Result<Created> {
        let mut range = Created::default();
        for (suffix, step) in [("gt", 1), ("gte", 0)] {
            if let Some(at) = self.time(&format!("{name}[{suffix}]"))? {
                range.from = range.from.max(at.micros().saturating_add(step));
            }
        }
        for (suffix, step) in [("lt", 1), ("lte", 0)] {
            if let Some(at) = self.time(&format!("{name}[{suffix}]"))? {
                range.to = range.to.min(at.micros().saturating_sub(step));
            }
        }
        Ok(range)
    }

    fn time(&self, name: &str) -> Result<Option<Timestamp>> {
        let parse = |text: &str| {
            // A `+` that was not percent-encoded has become a space; in a time it can only have been a `+`.
            Timestamp::parse(&text.replace(' ', "+")).ok_or_else(|| {
                ApiError::invalid(format!("{name}: expected a time in RFC 3339, such as 2026-04-03T18:24:10Z"))
            })
        };
        self.opt(name).map(parse).transpose()
    }
}

fn unknown(name: &str, known: &[&str]) -> ApiError {
    let name: String = name.chars().take(100).collect();
    if known.is_empty() {
        return ApiError::invalid(format!("{name}: unknown query parameter; none is allowed here"));
    }
    ApiError::invalid(format!("{name}: unknown query parameter; allowed are {}", known.join(", ")))
}

fn not_utf8(name: &str) -> ApiError {
    ApiError::invalid(format!("{name}: not percent-encoded UTF-8"))
}

/// Undoes percent-encoding. Nothing when an escape is broken or the bytes are not UTF-8.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => (hex(rest.next()?)? << 4) | hex(rest.next()?)?,
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(raw: &str) -> Params {
        Params::new(
            Some(raw),
            &["limit", "flag", "statuses[]", "order", CREATED[0], CREATED[1], CREATED[2], CREATED[3]],
        )
        .unwrap()
    }

    fn refusal(raw: &str, known: &[&str]) -> String {
        Params::new(Some(raw), known).unwrap_err().message
    }

    #[test]
    fn lists_are_collected_in_order_and_decoded() {
        let params = params("statuses%5B%5D=idle&limit=5&statuses[]=a%20b+c&beta=true&&");
        assert_eq!(params.list("statuses"), ["idle", "a b c"]);
        assert_eq!(params.opt_u32("limit"), Ok(Some(5)));
        assert_eq!(params.opt("flag"), None);
    }

    #[test]
    fn what_is_unknown_doubled_or_broken_is_refused_by_name() {
        assert!(refusal("nonsense=1", &["limit"]).contains("nonsense"));
        assert!(refusal("limit[]=1", &["limit"]).contains("limit[]"));
        assert!(refusal("statuses=idle", &["statuses[]"]).contains("statuses[]"));
        assert!(refusal("limit=1&limit=2", &["limit"]).contains("more than once"));
        assert!(refusal("limit=%f", &["limit"]).contains("limit"));
        assert!(refusal("limit=%ff", &["limit"]).contains("limit"));
        assert!(refusal("x", &[]).contains("none is allowed"));
    }

    #[test]
    fn values_are_typed() {
        for bad in ["limit=", "limit=-1", "limit=+1", "limit=1.0", "limit=4294967296", "limit=x"] {
            assert!(params(bad).opt_u32("limit").is_err(), "{bad}");
        }
        assert_eq!(params("flag=true").flag("flag"), Ok(true));
        assert_eq!(params("flag=false").flag("flag"), Ok(false));
        assert_eq!(params("").flag("flag"), Ok(false));
        assert!(params("flag=1").flag("flag").is_err());
        assert_eq!(params("order=asc").order(Order::Desc), Ok(Order::Asc));
        assert!(params("order=up").order(Order::Desc).is_err());
    }

    #[test]
    fn ranges_become_inclusive_bounds() {
        let at = Timestamp::parse("2026-01-02T03:04:05Z").unwrap().micros();
        let range = params("created_at%5Bgt%5D=2026-01-02T03%3A04%3A05%2B00%3A00").created("created_at").unwrap();
        assert_eq!(range, Created { from: at + 1, to: i64::MAX });
        let range = params("created_at[gte]=2026-01-02T03:04:05+00:00&created_at[lt]=2026-01-02T03:04:05Z");
        assert_eq!(range.created("created_at").unwrap(), Created { from: at, to: at - 1 });
        let range = params("created_at[lte]=9999-12-31T23:59:59.999999Z").created("created_at").unwrap();
        assert!(range.to > at, "the end of time is a bound like any other");
        assert!(params("created_at[lte]=yesterday").created("created_at").is_err());
    }
}
