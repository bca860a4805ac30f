//! Reads a TOML table key by key and collects everything that is wrong with it.
//!
//! The table is read from the parser's own tree and not through serde's derive: serde stops at the first error
//! of a file and loses the place of a value that may have two forms (`command`), and an administrator with
//! three typing errors wants to see three carets.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Problem, Source};

/// One table of one file.
pub struct Reader<'a> {
    source: &'a Source,
    table: &'a DeTable<'a>,
    /// How to name the table in messages: empty for the file's top.
    section: String,
    known: Vec<&'static str>,
    problems: &'a mut Vec<Problem>,
}

/// Reads a whole file: parse, let `read` take what it knows, then report every key nobody asked for.
pub fn read_file<T>(
    source: &Source,
    problems: &mut Vec<Problem>,
    read: impl FnOnce(&mut Reader<'_>) -> T,
) -> Option<T> {
    let before = problems.len();
    let (table, errors) = DeTable::parse_recoverable(&source.text);
    if !errors.is_empty() {
        // A file that is not TOML is not looked at further: what follows a syntax error is guesswork.
        problems.extend(errors.iter().map(|error| {
            source.problem(error.span().unwrap_or(0..0), error.message().trim().replace('\n', "; "), None)
        }));
        return None;
    }
    let mut reader =
        Reader { source, table: table.get_ref(), section: String::new(), known: Vec::new(), problems };
    let value = read(&mut reader);
    reader.finish();
    // In the order of the file, whatever the order of reading.
    problems[before..].sort_by_key(|problem| problem.place.as_ref().map(|place| (place.line, place.column)));
    Some(value)
}

impl Reader<'_> {
    /// Notes a problem at a value.
    pub fn problem(&mut self, span: Range<usize>, message: impl Into<String>, help: Option<&str>) {
        self.problems.push(self.source.problem(span, message.into(), help.map(Into::into)));
    }

    /// Notes a problem at a key; at the beginning of the file if it is not there.
    pub fn problem_at_key(&mut self, key: &str, message: impl Into<String>, help: Option<&str>) {
        let span = self.table.iter().find(|(name, _)| name.get_ref() == key).map(|(name, _)| name.span());
        self.problem(span.unwrap_or(0..0), message, help);
    }

    /// Whether the key is there.
    pub fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    fn take(&mut self, key: &'static str) -> Option<&Spanned<DeValue<'_>>> {
        self.known.push(key);
        self.table.get(key)
    }

    fn wrong_type(&mut self, key: &str, expected: &str, found: &'static str, span: Range<usize>) {
        let name = self.name(key);
        self.problem(span, format!("`{name}` must be {expected}, not {}", article(found)), None);
    }

    fn name(&self, key: &str) -> String {
        if self.section.is_empty() { key.to_owned() } else { format!("{}.{key}", self.section) }
    }

    /// A string.
    pub fn text(&mut self, key: &'static str) -> Option<Spanned<String>> {
        let value = self.take(key)?;
        let (span, found) = (value.span(), value.get_ref().type_str());
        match value.get_ref().as_str().map(str::to_owned) {
            Some(text) => self.whole(span, text),
            None => {
                self.wrong_type(key, "a string", found, span);
                None
            }
        }
    }

    /// No string of ours may hold a zero byte: the kernel would cut it there.
    fn whole(&mut self, span: Range<usize>, text: String) -> Option<Spanned<String>> {
        if text.contains('\0') {
            self.problem(span, "a zero byte cannot be part of a string here", None);
            return None;
        }
        Some(Spanned::new(span, text))
    }

    /// An array of strings.
    pub fn texts(&mut self, key: &'static str) -> Option<Spanned<Vec<Spanned<String>>>> {
        let value = self.take(key)?;
        let (span, found) = (value.span(), value.get_ref().type_str());
        let items: Option<Vec<(Range<usize>, Option<String>)>> = value.get_ref().as_array().map(|items| {
            items.iter().map(|item| (item.span(), item.get_ref().as_str().map(str::to_owned))).collect()
        });
        let Some(items) = items else {
            self.wrong_type(key, "an array of strings", found, span);
            return None;
        };
        let mut texts = Vec::with_capacity(items.len());
        for (at, item) in items {
            match item {
                Some(text) => texts.extend(self.whole(at, text)),
                None => {
                    let name = self.name(key);
                    self.problem(at, format!("`{name}` must hold strings only"), None);
                }
            }
        }
        Some(Spanned::new(span, texts))
    }

    /// A string, or an array of strings.
    pub fn text_or_texts(&mut self, key: &'static str) -> Option<TextOrTexts> {
        let found = self.take(key)?.get_ref();
        if found.is_array() {
            return self.texts(key).map(TextOrTexts::Texts);
        }
        if found.is_str() {
            return self.text(key).map(TextOrTexts::Text);
        }
        let (span, found) = self.take(key).map(|value| (value.span(), value.get_ref().type_str()))?;
        self.wrong_type(key, "a string or an array of strings", found, span);
        None
    }

    /// A whole number in a range.
    pub fn number(&mut self, key: &'static str, range: std::ops::RangeInclusive<u64>) -> Option<u64> {
        let value = self.take(key)?;
        let (span, found) = (value.span(), value.get_ref().type_str());
        let Some(integer) = value.get_ref().as_integer() else {
            self.wrong_type(key, "a whole number", found, span);
            return None;
        };
        match u64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(number) if range.contains(&number) => Some(number),
            _ => {
                let name = self.name(key);
                let message = format!("`{name}` must be from {} to {}", range.start(), range.end());
                self.problem(span, message, None);
                None
            }
        }
    }

    /// A whole number in a range, or one word in its place.
    pub fn number_or_word(
        &mut self,
        key: &'static str,
        range: std::ops::RangeInclusive<u64>,
        word: &str,
    ) -> Option<NumberOrWord> {
        if !self.take(key)?.get_ref().is_str() {
            return self.number(key, range).map(NumberOrWord::Number);
        }
        let text = self.text(key)?;
        if text.get_ref() == word {
            return Some(NumberOrWord::Word);
        }
        let message = format!("`{}` cannot be \"{}\"", self.name(key), text.get_ref().escape_debug());
        let help = format!("allowed: a number from {} to {}, or \"{word}\"", range.start(), range.end());
        self.problem(text.span(), message, Some(&help));
        None
    }

    /// true or false.
    pub fn truth(&mut self, key: &'static str) -> Option<bool> {
        let value = self.take(key)?;
        let (span, found) = (value.span(), value.get_ref().type_str());
        let truth = value.get_ref().as_bool();
        if truth.is_none() {
            self.wrong_type(key, "true or false", found, span);
        }
        truth
    }

    /// A string in one of our small languages.
    pub fn parsed<T>(
        &mut self,
        key: &'static str,
        form: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.text(key)?;
        match parse(text.get_ref()) {
            Ok(value) => Some(value),
            Err(message) => {
                self.problem(text.span(), message, Some(form));
                None
            }
        }
    }

    /// One word of several.
    pub fn choice<T: Copy>(&mut self, key: &'static str, choices: &[(&str, T)]) -> Option<T> {
        let text = self.text(key)?;
        let found = choices.iter().find(|(word, _)| word == text.get_ref()).map(|(_, value)| *value);
        if found.is_none() {
            let allowed: Vec<_> = choices.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            let message = format!("`{}` cannot be \"{}\"", self.name(key), text.get_ref().escape_debug());
            self.problem(text.span(), message, Some(&format!("allowed: {}", allowed.join(", "))));
        }
        found
    }

    /// A table, read by `read`.
    pub fn section<T>(&mut self, key: &'static str, read: impl FnOnce(&mut Reader<'_>) -> T) -> Option<T> {
        self.known.push(key);
        let value = self.table.get(key)?;
        let Some(table) = value.get_ref().as_table() else {
            self.wrong_type(key, "a table", value.get_ref().type_str(), value.span());
            return None;
        };
        Some(self.inner(table, key.to_owned(), read))
    }

    fn inner<T>(
        &mut self,
        table: &DeTable<'_>,
        section: String,
        read: impl FnOnce(&mut Reader<'_>) -> T,
    ) -> T {
        let mut reader =
            Reader { source: self.source, table, section, known: Vec::new(), problems: self.problems };
        let value = read(&mut reader);
        reader.finish();
        value
    }

    /// A table of tables with names of the administrator's choice, in the order of the file, each read by `read`.
    pub fn tables<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&mut Reader<'_>) -> T,
    ) -> Option<Vec<(Spanned<String>, T)>> {
        self.known.push(key);
        let value = self.table.get(key)?;
        let Some(table) = value.get_ref().as_table() else {
            self.wrong_type(key, "a table of tables", value.get_ref().type_str(), value.span());
            return None;
        };
        let mut inner: Vec<_> = table.iter().collect();
        inner.sort_by_key(|(name, _)| name.span().start);
        let mut tables = Vec::with_capacity(inner.len());
        for (name, value) in inner {
            let section = self.name(&format!("{key}.\"{}\"", name.get_ref().escape_debug()));
            match value.get_ref().as_table() {
                Some(table) => {
                    let name = Spanned::new(name.span(), name.get_ref().to_string());
                    tables.push((name, self.inner(table, section, &read)));
                }
                None => {
                    let message =
                        format!("`{section}` must be a table, not {}", article(value.get_ref().type_str()));
                    self.problem(value.span(), message, None);
                }
            }
        }
        Some(tables)
    }

    /// A table of strings with keys of the administrator's choice.
    pub fn pairs(&mut self, key: &'static str) -> Option<Vec<(Spanned<String>, Spanned<String>)>> {
        self.known.push(key);
        let value = self.table.get(key)?;
        let Some(table) = value.get_ref().as_table() else {
            self.wrong_type(key, "a table of strings", value.get_ref().type_str(), value.span());
            return None;
        };
        let mut pairs = Vec::with_capacity(table.len());
        for (name, value) in table {
            match value.get_ref().as_str() {
                Some(text) => {
                    let name = self.whole(name.span(), name.get_ref().to_string());
                    pairs.extend(name.zip(self.whole(value.span(), text.to_owned())));
                }
                None => {
                    let message = format!("`{}` must be a string", name.get_ref());
                    self.problem(value.span(), message, Some("write numbers in quotes"));
                }
            }
        }
        Some(pairs)
    }

    fn finish(mut self) {
        let mut unknown: Vec<_> = self
            .table
            .keys()
            .filter(|name| !self.known.contains(&name.get_ref().as_ref()))
            .map(|name| (name.span(), name.get_ref().to_string()))
            .collect();
        unknown.sort_by_key(|(span, _)| span.start);
        self.known.dedup();
        for (span, name) in unknown {
            let near = self
                .known
                .iter()
                .filter(|known| distance(known, &name) <= 2)
                .min_by_key(|k| distance(k, &name));
            let help = match near {
                Some(known) => format!("did you mean `{known}`?"),
                None => format!("allowed: {}", self.known.join(", ")),
            };
            let place =
                if self.section.is_empty() { String::new() } else { format!(" in `{}`", self.section) };
            self.problem(span, format!("unknown key `{}`{place}", name.escape_debug()), Some(&help));
        }
    }
}

/// See [`Reader::number_or_word`].
pub enum NumberOrWord {
    /// A number.
    Number(u64),
    /// The word.
    Word,
}

/// See [`Reader::text_or_texts`].
pub enum TextOrTexts {
    /// A string.
    Text(Spanned<String>),
    /// An array.
    Texts(Spanned<Vec<Spanned<String>>>),
}

fn article(type_name: &str) -> String {
    match type_name {
        "integer" | "array" | "inline table" => format!("an {type_name}"),
        "boolean" => "true or false".into(),
        other => format!("a {other}"),
    }
}

/// Edits between two keys (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, c) in one.chars().take(64).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, d) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(c != *d);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}
