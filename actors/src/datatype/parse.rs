//! The grammar of type expressions: a name, perhaps with parameters in brackets, which may be types again.
//!
//! What the parameters mean to each type is told by `build`.

use super::build::{self, Argument};
use super::lexer::{Lexeme, Lexer, Token};
use super::{DataType, Field, Presence, Shape, TypeError, cut};

/// Longer texts are refused; in bytes.
const LONGEST: usize = 16 * 1024;
/// Deeper types are refused: they are read, checked and dropped recursively.
const DEEPEST: usize = 64;
/// More patterns are refused: each may cost as much memory as `pattern` allows.
const MOST_PATTERNS: usize = 32;

/// Reads a whole text as one type.
pub(super) fn parse(text: &str) -> Result<DataType, TypeError> {
    if text.len() > LONGEST {
        return Err(TypeError::new(format!("more than {LONGEST} bytes"), text, LONGEST));
    }
    let mut lexer = Lexer::new(text);
    let current = lexer.read()?;
    let mut parser = Parser { lexer, current, depth: 0, patterns: 0 };
    let parsed = parser.data_type()?;
    if parser.current.token != Token::End {
        return Err(parser.expected("the end of the type"));
    }
    Ok(parsed)
}

struct Parser<'t> {
    lexer: Lexer<'t>,
    current: Lexeme,
    /// How many brackets are open.
    depth: usize,
    /// How many patterns were seen.
    patterns: usize,
}

impl Parser<'_> {
    fn data_type(&mut self) -> Result<DataType, TypeError> {
        let start = self.current.start;
        if let Token::Word(word) = &self.current.token {
            let problem = format!("expected a type, which begins with a capital letter, not '{}',", cut(word));
            return Err(self.wrong(problem, start));
        }
        let Token::Name(name) = &self.current.token else { return Err(self.expected("a type")) };
        let name = name.clone();
        self.advance()?;
        let shape = if build::is_opaque(&name) {
            let parameters = if self.is_at('[') { Some(self.raw_arguments()?) } else { None };
            build::opaque(name, parameters)
        } else {
            let arguments = if self.is_at('[') { self.arguments()? } else { Vec::new() };
            self.build(&name, arguments, start)?
        };
        Ok(DataType(shape))
    }

    fn build(&mut self, name: &str, arguments: Vec<Argument>, start: usize) -> Result<Shape, TypeError> {
        if name == "Pattern" {
            self.patterns += arguments.len();
        }
        if self.patterns > MOST_PATTERNS {
            return Err(self.wrong(format!("more than {MOST_PATTERNS} patterns"), start));
        }
        build::shape(name, arguments).map_err(|problem| self.wrong(problem, start))
    }

    fn arguments(&mut self) -> Result<Vec<Argument>, TypeError> {
        if self.depth == DEEPEST {
            return Err(self.wrong(format!("more than {DEEPEST} levels"), self.current.start));
        }
        self.depth += 1;
        self.advance()?;
        let mut arguments = vec![self.argument()?];
        while self.comma(']')? {
            arguments.push(self.argument()?);
        }
        self.expect(']')?;
        self.depth -= 1;
        Ok(arguments)
    }

    fn argument(&mut self) -> Result<Argument, TypeError> {
        let argument = match &self.current.token {
            Token::Name(_) => return self.data_type().map(Argument::Type),
            Token::Symbol('{') => return self.fields().map(Argument::Fields),
            Token::Symbol(_) | Token::Arrow | Token::End => return Err(self.expected("a parameter")),
            Token::Word(word) => match word.as_str() {
                "true" => Argument::Flag(true),
                "false" => Argument::Flag(false),
                "default" => Argument::Default,
                _ => Argument::Text(word.clone()),
            },
            Token::Text(text) => Argument::Text(text.clone()),
            Token::Regex(regex) => Argument::Regex(regex.clone()),
            Token::Integer(number) => Argument::Integer(*number),
            Token::Float(number) => Argument::Float(*number),
        };
        self.advance()?;
        Ok(argument)
    }

    fn fields(&mut self) -> Result<Vec<Field>, TypeError> {
        self.advance()?;
        let mut fields: Vec<Field> = Vec::new();
        let mut more = !self.is_at('}');
        while more {
            let start = self.current.start;
            let field = self.field()?;
            if fields.iter().any(|other| other.name == field.name) {
                return Err(self.wrong(format!("the key '{}' a second time", cut(&field.name)), start));
            }
            fields.push(field);
            more = self.comma('}')?;
        }
        self.expect('}')?;
        Ok(fields)
    }

    fn field(&mut self) -> Result<Field, TypeError> {
        let name = if let Token::Name(name) = &self.current.token { name.as_str() } else { "" };
        let presence = match name {
            "Optional" => Presence::Optional,
            "NotUndef" => Presence::Required,
            _ => Presence::ByType,
        };
        let wrapped = presence != Presence::ByType;
        if wrapped {
            self.advance()?;
            self.expect('[')?;
        }
        let name = self.key()?;
        if wrapped {
            self.expect(']')?;
        }
        if self.current.token != Token::Arrow {
            return Err(self.expected("'=>'"));
        }
        self.advance()?;
        Ok(Field { name, presence, value: self.data_type()? })
    }

    fn key(&mut self) -> Result<String, TypeError> {
        let (Token::Text(key) | Token::Word(key)) = &self.current.token else {
            return Err(self.expected("a key"));
        };
        if key.is_empty() {
            return Err(self.expected("a key that is not empty"));
        }
        let key = key.clone();
        self.advance()?;
        Ok(key)
    }

    /// The parameters of a type that is not known here, as they are written. Only the brackets must match.
    fn raw_arguments(&mut self) -> Result<String, TypeError> {
        self.advance()?;
        let start = self.current.start;
        let mut end = start;
        let mut closings = vec![']'];
        while let Some(&closing) = closings.last() {
            match self.current.token {
                Token::Symbol('[') => closings.push(']'),
                Token::Symbol('{') => closings.push('}'),
                Token::Symbol('(') => closings.push(')'),
                Token::Symbol(symbol) if symbol == closing => drop(closings.pop()),
                Token::End | Token::Symbol(']' | '}' | ')') => return Err(self.expected(&format!("'{closing}'"))),
                Token::Symbol(_)
                | Token::Name(_)
                | Token::Word(_)
                | Token::Text(_)
                | Token::Regex(_)
                | Token::Integer(_)
                | Token::Float(_)
                | Token::Arrow => {}
            }
            if closings.is_empty() && end == start {
                return Err(self.expected("a parameter"));
            }
            if !closings.is_empty() {
                end = self.current.end;
            }
            self.advance()?;
        }
        Ok(self.lexer.text()[start..end].to_owned())
    }

    fn advance(&mut self) -> Result<(), TypeError> {
        self.current = self.lexer.read()?;
        Ok(())
    }

    fn is_at(&self, symbol: char) -> bool {
        self.current.token == Token::Symbol(symbol)
    }

    /// Steps over a comma, and tells whether something follows it. One before the closing bracket means nothing.
    fn comma(&mut self, closing: char) -> Result<bool, TypeError> {
        if !self.is_at(',') {
            return Ok(false);
        }
        self.advance()?;
        Ok(!self.is_at(closing))
    }

    fn expect(&mut self, symbol: char) -> Result<(), TypeError> {
        if !self.is_at(symbol) {
            return Err(self.expected(&format!("'{symbol}'")));
        }
        self.advance()
    }

    fn expected(&self, what: &str) -> TypeError {
        self.wrong(format!("expected {what}"), self.current.start)
    }

    fn wrong(&self, problem: impl Into<String>, offset: usize) -> TypeError {
        TypeError::new(problem, self.lexer.text(), offset)
    }
}
