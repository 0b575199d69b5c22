//! The words of a type expression: names, literals and punctuation. Blanks and `#` comments between them are skipped.
//!
//! Knows nothing of types. What Puppet would insert into text in double quotes (`${…}`) is left as it is written.

use super::TypeError;

/// A word of the expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// Capitalized, perhaps with `::` inside.
    Name(String),
    /// Not capitalized.
    Word(String),
    Text(String),
    /// Without the slashes, and with `/` for `\/`.
    Regex(String),
    Integer(i64),
    Float(f64),
    Arrow,
    Symbol(char),
    End,
}

/// A token and where it stands, in bytes.
#[derive(Debug)]
pub(super) struct Lexeme {
    pub(super) token: Token,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// Walks over a text, token by token.
#[derive(Debug)]
pub(super) struct Lexer<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Lexer<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, at: 0 }
    }

    pub(super) fn text(&self) -> &'t str {
        self.text
    }

    /// The next token; `End` for ever at the end.
    pub(super) fn read(&mut self) -> Result<Lexeme, TypeError> {
        self.skip_blanks();
        let start = self.at;
        let token = self.token()?;
        Ok(Lexeme { token, start, end: self.at })
    }

    fn token(&mut self) -> Result<Token, TypeError> {
        let Some(first) = self.peek() else { return Ok(Token::End) };
        match first {
            'A'..='Z' => self.name(),
            'a'..='z' | '_' => Ok(Token::Word(self.take_while(|c| is_word(c) || c == '-').to_owned())),
            '0'..='9' => self.number(),
            '-' if self.rest()[1..].starts_with(|c: char| c.is_ascii_digit()) => self.number(),
            '\'' => self.single_quoted(),
            '"' => self.double_quoted(),
            '/' => self.regex(),
            '=' if self.rest().starts_with("=>") => {
                self.at += 2;
                Ok(Token::Arrow)
            }
            other => {
                self.bump();
                Ok(Token::Symbol(other))
            }
        }
    }

    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn take_while(&mut self, belongs: impl Fn(char) -> bool) -> &'t str {
        let rest = self.rest();
        let taken = &rest[..rest.find(|c| !belongs(c)).unwrap_or(rest.len())];
        self.at += taken.len();
        taken
    }

    fn skip_blanks(&mut self) {
        loop {
            self.take_while(char::is_whitespace);
            if self.peek() != Some('#') {
                return;
            }
            self.take_while(|c| c != '\n');
        }
    }

    fn wrong<T>(&self, problem: &str, offset: usize) -> Result<T, TypeError> {
        Err(TypeError::new(problem, self.text, offset))
    }

    fn name(&mut self) -> Result<Token, TypeError> {
        let start = self.at;
        let name = self.take_while(|c| is_word(c) || c == ':');
        let capitalized = |part: &str| part.starts_with(|c: char| c.is_ascii_uppercase()) && !part.contains(':');
        if !name.split("::").all(capitalized) {
            return self.wrong("expected a capital letter after '::' in the name", start);
        }
        Ok(Token::Name(name.to_owned()))
    }

    fn number(&mut self) -> Result<Token, TypeError> {
        let start = self.at;
        self.bump();
        let mut before = ' ';
        while let Some(next) = self.peek() {
            let in_fraction = next == '.' && self.rest()[1..].starts_with(|c: char| c.is_ascii_digit());
            let in_exponent = matches!(next, '+' | '-') && matches!(before, 'e' | 'E') && !self.is_hex(start);
            if !is_word(next) && !in_fraction && !in_exponent {
                break;
            }
            before = next;
            self.bump();
        }
        let number = parse_number(&self.text[start..self.at]);
        number.map_or_else(|| self.wrong("expected a number within 64 bits", start), Ok)
    }

    fn is_hex(&self, start: usize) -> bool {
        let digits = self.text[start..].trim_start_matches('-');
        digits.starts_with("0x") || digits.starts_with("0X")
    }

    fn single_quoted(&mut self) -> Result<Token, TypeError> {
        let start = self.at;
        self.bump();
        let mut text = String::new();
        while let Some(next) = self.bump() {
            match (next, self.peek()) {
                ('\'', _) => return Ok(Token::Text(text)),
                ('\\', Some(escaped @ ('\'' | '\\'))) => {
                    self.bump();
                    text.push(escaped);
                }
                _ => text.push(next),
            }
        }
        self.wrong("unclosed text in quotes", start)
    }

    fn double_quoted(&mut self) -> Result<Token, TypeError> {
        let start = self.at;
        self.bump();
        let mut text = String::new();
        while let Some(next) = self.bump() {
            match next {
                '"' => return Ok(Token::Text(text)),
                '\\' => self.escape(&mut text)?,
                _ => text.push(next),
            }
        }
        self.wrong("unclosed text in quotes", start)
    }

    /// What follows a backslash in double quotes. Puppet leaves alone what is no escape.
    fn escape(&mut self, text: &mut String) -> Result<(), TypeError> {
        match self.bump() {
            Some('n') => text.push('\n'),
            Some('r') => text.push('\r'),
            Some('t') => text.push('\t'),
            Some('s') => text.push(' '),
            Some('u') => text.push(self.unicode()?),
            Some(same @ ('"' | '\'' | '\\' | '$')) => text.push(same),
            Some(other) => text.extend(['\\', other]),
            None => {}
        }
        Ok(())
    }

    /// `{1F600}` or four digits.
    fn unicode(&mut self) -> Result<char, TypeError> {
        let start = self.at;
        let rest = self.rest();
        let digits = match rest.strip_prefix('{') {
            Some(inside) => inside.split_once('}').map(|(digits, _)| (digits, digits.len() + 2)),
            None => rest.get(..4).map(|digits| (digits, 4)),
        };
        let digits = digits.filter(|(digits, _)| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let code = digits.and_then(|(digits, length)| Some((u32::from_str_radix(digits, 16).ok()?, length)));
        match code.and_then(|(code, length)| Some((char::from_u32(code)?, length))) {
            Some((character, length)) => {
                self.at += length;
                Ok(character)
            }
            None => self.wrong("expected the code of a character", start),
        }
    }

    fn regex(&mut self) -> Result<Token, TypeError> {
        let start = self.at;
        self.bump();
        let mut regex = String::new();
        while let Some(next) = self.bump() {
            match (next, self.peek()) {
                ('/', _) => return Ok(Token::Regex(regex)),
                ('\\', Some(escaped)) => {
                    self.bump();
                    if escaped != '/' {
                        regex.push('\\');
                    }
                    regex.push(escaped);
                }
                _ => regex.push(next),
            }
        }
        self.wrong("unclosed regular expression", start)
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn parse_number(text: &str) -> Option<Token> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let sign = &text[..text.len() - digits.len()];
    let radix = |digits: &str, radix| i64::from_str_radix(&format!("{sign}{digits}"), radix).ok().map(Token::Integer);
    if let Some(hex) = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        // The sign belongs before the prefix only.
        return radix(hex, 16);
    }
    if digits.bytes().all(|digit| digit.is_ascii_digit()) {
        let octal = digits.len() > 1 && digits.starts_with('0');
        return radix(digits, if octal { 8 } else { 10 });
    }
    text.parse().ok().filter(|number: &f64| number.is_finite()).map(Token::Float)
}
