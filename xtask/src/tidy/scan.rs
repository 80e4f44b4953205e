//! A reader of Rust that knows just enough: what is code, what is a comment, what is a string, where a function
//! begins and ends. It never fails; on text that is not Rust it finds odd functions and no harm is done.

use std::ops::Range;

/// A source text twice, with the lines in their places: once only its code, once only its comments. Everything
/// else is blank.
pub(super) struct Masked {
    pub(super) code: String,
    pub(super) comments: String,
}

/// One function.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Function {
    pub(super) name: String,
    /// Its first line, counted from 1.
    pub(super) line: usize,
    /// How many lines it takes, from `fn` to its closing brace.
    pub(super) lines: usize,
}

impl Masked {
    pub(super) fn of(source: &str) -> Self {
        let chars: Vec<char> = source.chars().collect();
        let mut masked = Self { code: String::new(), comments: String::new() };
        let mut at = 0;
        while at < chars.len() {
            let (length, kind) = piece(&chars, at);
            for &c in &chars[at..at + length] {
                let blank = if c == '\n' { '\n' } else { ' ' };
                masked.code.push(if kind == Kind::Code { c } else { blank });
                masked.comments.push(if kind == Kind::Comment { c } else { blank });
            }
            at += length;
        }
        masked
    }

    /// The code without the modules that only tests see.
    pub(super) fn product_code(&self) -> String {
        let mut code = self.code.clone();
        for range in test_ranges(&self.code) {
            let blank: String = code[range.clone()].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
            code.replace_range(range, &blank);
        }
        code
    }

    /// How many lines of the file are not in a module that only tests see.
    pub(super) fn product_lines(&self) -> usize {
        let lines = |text: &str| text.matches('\n').count();
        let tests: usize = test_ranges(&self.code).into_iter().map(|range| lines(&self.code[range])).sum();
        lines(&self.code) - tests
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Code,
    Comment,
    Text,
}

/// The length and kind of what starts at `at`.
fn piece(chars: &[char], at: usize) -> (usize, Kind) {
    let next = |offset: usize| chars.get(at + offset).copied();
    match (chars[at], next(1)) {
        ('/', Some('/')) => (chars[at..].iter().take_while(|c| **c != '\n').count(), Kind::Comment),
        ('/', Some('*')) => (block_comment(&chars[at..]), Kind::Comment),
        ('"', _) => (quoted(&chars[at..], '"'), Kind::Text),
        ('\'', Some('\\')) => (quoted(&chars[at..], '\''), Kind::Text),
        ('\'', Some(_)) if next(2) == Some('\'') => (3, Kind::Text),
        (c, _) if is_word(c) => {
            let word: String = chars[at..].iter().take_while(|c| is_word(**c)).collect();
            let length = word.chars().count();
            let hashes = chars[at + length..].iter().take_while(|c| **c == '#').count();
            let is_raw = matches!(word.as_str(), "r" | "br" | "cr") && next(length + hashes) == Some('"');
            if is_raw { (raw_string(&chars[at..], length, hashes), Kind::Text) } else { (length, Kind::Code) }
        }
        _ => (1, Kind::Code),
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn block_comment(chars: &[char]) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at.min(chars.len())
}

fn quoted(chars: &[char], quote: char) -> usize {
    let mut at = 1;
    while at < chars.len() && chars[at] != quote {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(chars.len())
}

fn raw_string(chars: &[char], prefix: usize, hashes: usize) -> usize {
    let mut at = prefix + hashes + 1;
    while at < chars.len() {
        let closing = chars[at + 1..].iter().take(hashes).filter(|c| **c == '#').count();
        at += 1;
        if chars[at - 1] == '"' && closing == hashes {
            return at + hashes;
        }
    }
    chars.len()
}

/// The parts of `code` behind `#[cfg(test)]`: to the closing brace, or to the semicolon.
fn test_ranges(code: &str) -> Vec<Range<usize>> {
    const MARK: &str = "#[cfg(test)]";
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for (start, _) in code.match_indices(MARK) {
        let is_inside = ranges.last().is_some_and(|last| start < last.end);
        if !is_inside && let Some(end) = item_end(code, start + MARK.len()) {
            ranges.push(start..end);
        }
    }
    ranges
}

/// Where the item that starts at `from` ends: behind its body's brace, or behind its semicolon.
fn item_end(code: &str, from: usize) -> Option<usize> {
    match body_start(code, from)? {
        (at, '{') => Some(block_end(code, at)),
        (at, _) => Some(at + 1),
    }
}

/// The first `{` or `;` that is in no parentheses or brackets.
fn body_start(code: &str, from: usize) -> Option<(usize, char)> {
    let mut depth = 0;
    for (offset, c) in code[from..].char_indices() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            '{' | ';' if depth == 0 => return Some((from + offset, c)),
            _ => {}
        }
    }
    None
}

/// Behind the brace that closes the one at `open`.
fn block_end(code: &str, open: usize) -> usize {
    let mut depth = 0;
    for (offset, c) in code[open..].char_indices() {
        depth += i32::from(c == '{') - i32::from(c == '}');
        if depth == 0 {
            return open + offset + 1;
        }
    }
    code.len()
}

/// All functions with a body.
pub(super) fn functions(code: &str) -> Vec<Function> {
    let line_at = |at: usize| code[..at].matches('\n').count() + 1;
    let mut functions = Vec::new();
    for (start, _) in code.match_indices("fn ") {
        let is_keyword = !code[..start].ends_with(is_word);
        let name: String = code[start + 3..].trim_start().chars().take_while(|c| is_word(*c)).collect();
        if !is_keyword || name.is_empty() {
            continue;
        }
        if let Some((open, '{')) = body_start(code, start) {
            let line = line_at(start);
            functions.push(Function { name, line, lines: line_at(block_end(code, open)) - line + 1 });
        }
    }
    functions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_and_comments_are_not_code() {
        let source = "a(\"x // } \\\" y\"); // c {\nb(r#\"q \" {\"#, 'z', '\\'', b'{'); /* d /* e */ f */ g::<'life>()";
        let masked = Masked::of(source);
        assert_eq!(masked.code.split_whitespace().collect::<String>(), "a();b(,,,b);g::<'life>()");
        assert_eq!(masked.comments.split_whitespace().collect::<String>(), "//c{/*d/*e*/f*/");
        assert_eq!(masked.code.matches('\n').count(), 1);
    }

    #[test]
    fn unfinished_text_does_no_harm() {
        for source in ["\"open", "r#\"open\"", "/* open", "'", "'\\", "fn f() {", "#[cfg(test)]", "fn "] {
            let masked = Masked::of(source);
            functions(&masked.product_code());
            assert_eq!(masked.code.chars().count(), source.chars().count());
        }
    }

    #[test]
    fn functions_are_measured() {
        let source = "fn one() { if a { b } }\nimpl T {\n  pub async fn two(a: [u8; 4]) -> [u8; 2] {\n    \"}\";\n  }\n  \
                      fn declared(&self);\n}\ntype F = fn (u8);\n";
        let function = |name: &str, line, lines| Function { name: name.to_owned(), line, lines };
        assert_eq!(functions(&Masked::of(source).code), [function("one", 1, 1), function("two", 3, 3)]);
    }

    #[test]
    fn what_only_tests_see_is_left_out() {
        let masked =
            Masked::of("fn a() {}\n#[cfg(test)]\nmod tests {\n  fn b() {}\n}\nfn c() {}\n#[cfg(test)]\nmod more;\n");
        let names: Vec<String> = functions(&masked.product_code()).into_iter().map(|f| f.name).collect();
        assert_eq!(names, ["a", "c"]);
        assert_eq!(masked.product_lines(), 4);
    }
}
