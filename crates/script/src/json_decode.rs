//! `cjson.decode`: JSON to values, with the leniency and the error texts of lua-cjson.

use std::ffi::c_int;

use crate::{
    bridge::{Lua, trim},
    cjson::Config,
    number::parse_prefix,
};

/// A text that is being read. A zero byte ends it, as does its end.
struct Parser<'a> {
    lua: Lua<'a>,
    config: Config,
    text: &'a [u8],
    position: usize,
    depth: i32,
}

/// What stands next in the text, and where, in bytes from its start.
struct Token<'a> {
    kind: TokenKind<'a>,
    position: usize,
}

enum TokenKind<'a> {
    ObjectBegin,
    ObjectEnd,
    ArrayBegin,
    ArrayEnd,
    /// Without escapes: a part of the text.
    Plain(&'a [u8]),
    /// With escapes: it stands in the scratch buffer.
    Unescaped,
    Number(f64),
    Boolean(bool),
    Null,
    Colon,
    Comma,
    End,
    Fault(&'static str),
}

pub(crate) fn decode(lua: Lua<'_>) -> c_int {
    if lua.top() != 1 {
        lua.raise_argument(1, format_args!("expected 1 argument"));
    }
    let text = lua.check_bytes(1);
    if text.len() >= 2 && (text[0] == 0 || text[1] == 0) {
        lua.raise(format_args!("JSON parser does not support UTF-16 or UTF-32"));
    }
    let config = *lua.upvalue_data::<Config>();
    let mut parser = Parser { lua, config, text, position: 0, depth: 0 };
    let token = parser.token();
    parser.value(&token);
    let token = parser.token();
    if !matches!(token.kind, TokenKind::End) {
        parser.refuse("the end", &token);
    }
    trim(lua.state().scratch.get());
    1
}

impl TokenKind<'_> {
    fn name(&self) -> &'static str {
        match self {
            Self::ObjectBegin => "T_OBJ_BEGIN",
            Self::ObjectEnd => "T_OBJ_END",
            Self::ArrayBegin => "T_ARR_BEGIN",
            Self::ArrayEnd => "T_ARR_END",
            Self::Plain(_) | Self::Unescaped => "T_STRING",
            Self::Number(_) => "T_NUMBER",
            Self::Boolean(_) => "T_BOOLEAN",
            Self::Null => "T_NULL",
            Self::Colon => "T_COLON",
            Self::Comma => "T_COMMA",
            Self::End => "T_END",
            Self::Fault(text) => text,
        }
    }
}

impl<'a> Parser<'a> {
    fn refuse(&self, expected: &str, found: &Token<'_>) -> ! {
        let (name, place) = (found.kind.name(), found.position + 1);
        self.lua.raise(format_args!("Expected {expected} but found {name} at character {place}"))
    }

    /// The byte `ahead` of the position, or 0 beyond the end.
    fn peek(&self, ahead: usize) -> u8 {
        self.text.get(self.position + ahead).copied().unwrap_or(0)
    }

    fn begins(&self, word: &str) -> bool {
        self.text[self.position..].starts_with(word.as_bytes())
    }

    fn token(&mut self) -> Token<'a> {
        self.lua.spend(1);
        while matches!(self.peek(0), b' ' | b'\t' | b'\n' | b'\r') {
            self.position += 1;
        }
        let position = self.position;
        let mut advance = |len: usize, kind| {
            self.position += len;
            Token { kind, position }
        };
        match self.text.get(position).copied().unwrap_or(0) {
            b'{' => advance(1, TokenKind::ObjectBegin),
            b'}' => advance(1, TokenKind::ObjectEnd),
            b'[' => advance(1, TokenKind::ArrayBegin),
            b']' => advance(1, TokenKind::ArrayEnd),
            b',' => advance(1, TokenKind::Comma),
            b':' => advance(1, TokenKind::Colon),
            0 => advance(0, TokenKind::End),
            b'"' => self.string(),
            b'-' | b'0'..=b'9' => {
                if !self.config.decode_invalid_numbers && self.is_invalid_number() {
                    return self.fault("invalid number");
                }
                self.number()
            }
            _ if self.begins("true") => self.word(4, TokenKind::Boolean(true)),
            _ if self.begins("false") => self.word(5, TokenKind::Boolean(false)),
            _ if self.begins("null") => self.word(4, TokenKind::Null),
            b'+' | b'i' | b'I' | b'n' | b'N'
                if self.config.decode_invalid_numbers && self.is_invalid_number() =>
            {
                self.number()
            }
            _ => self.fault("invalid token"),
        }
    }

    fn word(&mut self, len: usize, kind: TokenKind<'a>) -> Token<'a> {
        let position = self.position;
        self.position += len;
        Token { kind, position }
    }

    /// A token that is none; errors point to where reading got stuck.
    fn fault(&self, text: &'static str) -> Token<'a> {
        Token { kind: TokenKind::Fault(text), position: self.position }
    }

    /// Whether `strtod` would take what JSON does not know: hexadecimal, leading zeros or `+`, infinity, NaN.
    fn is_invalid_number(&self) -> bool {
        let text = &self.text[self.position..];
        let text = match text.first() {
            Some(b'+') => return true,
            Some(b'-') => &text[1..],
            _ => text,
        };
        match text.first().copied().unwrap_or(0) {
            b'0' => matches!(text.get(1), Some(b'x' | b'X' | b'0'..=b'9')),
            byte if byte <= b'9' => false,
            _ => text
                .get(..3)
                .is_some_and(|word| word.eq_ignore_ascii_case(b"inf") || word.eq_ignore_ascii_case(b"nan")),
        }
    }

    fn number(&mut self) -> Token<'a> {
        match parse_prefix(&self.text[self.position..]) {
            Some((value, len)) => self.word(len, TokenKind::Number(value)),
            None => self.fault("invalid number"),
        }
    }

    fn string(&mut self) -> Token<'a> {
        let token_position = self.position;
        self.position += 1;
        let start = self.position;
        let rest = &self.text[start..];
        let plain_len = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0)).unwrap_or(rest.len());
        self.position += plain_len;
        if self.peek(0) == b'"' {
            self.position += 1;
            return Token { kind: TokenKind::Plain(&rest[..plain_len]), position: token_position };
        }
        let out = self.lua.state().scratch.get();
        out.clear();
        out.extend_from_slice(&rest[..plain_len]);
        loop {
            match self.peek(0) {
                b'"' => break,
                0 => return self.fault("unexpected end of string"),
                b'\\' => match self.peek(1) {
                    b'u' => {
                        if !self.unicode_escape(out) {
                            return self.fault("invalid unicode escape code");
                        }
                        continue;
                    }
                    byte @ (b'"' | b'\\' | b'/') => out.push(byte),
                    b'b' => out.push(0x08),
                    b't' => out.push(b'\t'),
                    b'n' => out.push(b'\n'),
                    b'f' => out.push(0x0c),
                    b'r' => out.push(b'\r'),
                    _ => return self.fault("invalid escape code"),
                },
                byte => {
                    out.push(byte);
                    self.position += 1;
                    continue;
                }
            }
            self.position += 2;
        }
        self.position += 1;
        Token { kind: TokenKind::Unescaped, position: token_position }
    }

    /// Reads `\uXXXX`, or two of them for a surrogate pair; false if they are none.
    fn unicode_escape(&mut self, out: &mut Vec<u8>) -> bool {
        let Some(first) = self.hexadecimal(2) else { return false };
        let mut len = 6;
        let mut code = first;
        if first & 0xf800 == 0xd800 {
            let second = self.hexadecimal(8);
            match second {
                Some(second @ 0xdc00..=0xdfff)
                    if first & 0x400 == 0 && self.peek(6) == b'\\' && self.peek(7) == b'u' =>
                {
                    code = (((first & 0x3ff) << 10) | (second & 0x3ff)) + 0x1_0000;
                    len = 12;
                }
                _ => return false,
            }
        }
        let Some(character) = char::from_u32(code) else { return false };
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        self.position += len;
        true
    }

    fn hexadecimal(&self, ahead: usize) -> Option<u32> {
        let start = self.position + ahead;
        let digits = self.text.get(start..start + 4)?;
        digits.iter().try_fold(0, |code, digit| Some(code << 4 | (*digit as char).to_digit(16)?))
    }

    /// Pushes the value that begins with `token`.
    fn value(&mut self, token: &Token<'a>) {
        match token.kind {
            TokenKind::Plain(text) => self.lua.push_bytes(text),
            TokenKind::Unescaped => self.lua.push_bytes(self.lua.state().scratch.get()),
            TokenKind::Number(value) => self.lua.push_number(value),
            TokenKind::Boolean(value) => self.lua.push_boolean(value),
            TokenKind::Null => self.lua.push_null(),
            TokenKind::ObjectBegin => self.object(),
            TokenKind::ArrayBegin => self.array(),
            _ => self.refuse("value", token),
        }
    }

    fn descend(&mut self) {
        self.depth += 1;
        if self.depth > self.config.decode_depth_max || !self.lua.check_stack(4) || self.lua.stack_is_low() {
            let (depth, place) = (self.depth, self.position);
            self.lua
                .raise(format_args!("Found too many nested data structures ({depth}) at character {place}"));
        }
        self.lua.create_table(0, 0);
    }

    fn object(&mut self) {
        self.descend();
        let mut token = self.token();
        if matches!(token.kind, TokenKind::ObjectEnd) {
            self.depth -= 1;
            return;
        }
        loop {
            match token.kind {
                TokenKind::Plain(_) | TokenKind::Unescaped => self.value(&token),
                _ => self.refuse("object key string", &token),
            }
            token = self.token();
            if !matches!(token.kind, TokenKind::Colon) {
                self.refuse("colon", &token);
            }
            token = self.token();
            self.value(&token);
            self.lua.raw_set(-3);
            token = self.token();
            match token.kind {
                TokenKind::ObjectEnd => break,
                TokenKind::Comma => token = self.token(),
                _ => self.refuse("comma or object end", &token),
            }
        }
        self.depth -= 1;
    }

    fn array(&mut self) {
        self.descend();
        let mut token = self.token();
        if matches!(token.kind, TokenKind::ArrayEnd) {
            self.depth -= 1;
            return;
        }
        for index in 1.. {
            self.value(&token);
            self.lua.raw_set_index(-2, index);
            token = self.token();
            match token.kind {
                TokenKind::ArrayEnd => break,
                TokenKind::Comma => token = self.token(),
                _ => self.refuse("comma or array end", &token),
            }
        }
        self.depth -= 1;
    }
}
