//! Tables: aligned columns without borders, cut to the terminal's width, whole when piped.

use comfy_table::{Attribute, Cell, CellAlignment, Color, ContentArrangement, Row, Table, TableStyle};

use crate::output::{Output, Paint, Painting};

/// One cell.
pub struct Field {
    text: String,
    paint: Paint,
}

impl Field {
    /// In a colour.
    pub fn painted(text: impl Into<String>, paint: Paint) -> Field {
        Field { text: text.into(), paint }
    }
}

impl<T: Into<String>> From<T> for Field {
    fn from(text: T) -> Field {
        Field { text: text.into(), paint: Paint::Plain }
    }
}

/// How a column is aligned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// A table being filled.
pub struct Listing {
    headings: Vec<(&'static str, Align)>,
    rows: Vec<Vec<Field>>,
    empty: &'static str,
}

impl Listing {
    /// With these columns; `empty` is printed when there is no row.
    pub fn new(headings: &[(&'static str, Align)], empty: &'static str) -> Listing {
        Listing { headings: headings.to_vec(), rows: Vec::new(), empty }
    }

    /// Adds a row with as many fields as there are columns.
    pub fn row(&mut self, fields: Vec<Field>) {
        debug_assert_eq!(fields.len(), self.headings.len());
        self.rows.push(fields);
    }

    /// Prints it.
    pub fn print(&self, output: &Output) {
        output.line(self.render(output));
    }

    /// The text without a newline at the end.
    pub fn render(&self, output: &Output) -> String {
        if self.rows.is_empty() {
            return self.empty.to_owned();
        }
        let mut table = Table::new();
        table.load_style(TableStyle::new());
        table.force_no_tty();
        if output.painting == Painting::Colored {
            table.enforce_styling();
        }
        match output.width {
            Some(width) => {
                table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width.max(40));
            }
            None => {
                table.set_content_arrangement(ContentArrangement::Disabled);
            }
        }
        table
            .set_header(self.headings.iter().map(|(name, _)| Cell::new(name).add_attribute(Attribute::Bold)));
        for fields in &self.rows {
            let mut row = Row::from(fields.iter().map(cell).collect::<Vec<_>>());
            // A line each, as grep likes it; what does not fit ends with an ellipsis.
            row.max_height(1);
            table.add_row(row);
        }
        for (index, (_, align)) in self.headings.iter().enumerate() {
            let Some(column) = table.column_mut(index) else { continue };
            column.set_padding((0, 2));
            if *align == Align::Right {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
    }
}

fn cell(field: &Field) -> Cell {
    let cell = Cell::new(&field.text);
    match field.paint {
        Paint::Good => cell.fg(Color::DarkGreen),
        Paint::Moving => cell.fg(Color::DarkYellow),
        Paint::Bad => cell.fg(Color::DarkRed),
        Paint::Faint => cell.add_attribute(Attribute::Dim),
        Paint::Strong => cell.add_attribute(Attribute::Bold),
        Paint::Plain => cell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(width: Option<u16>, painting: Painting) -> Output {
        Output { json: false, painting, error_painting: Painting::Plain, width, progress: false }
    }

    fn listing() -> Listing {
        let mut listing = Listing::new(&[("NAME", Align::Left), ("PID", Align::Right)], "no services");
        listing.row(vec!["web".into(), "7".into()]);
        listing.row(vec![Field::painted("database", Paint::Bad), "1234".into()]);
        listing
    }

    #[test]
    fn a_table_aligns_its_columns_and_ends_lines_without_spaces() {
        let text = listing().render(&output(None, Painting::Plain));
        assert_eq!(text, "NAME       PID\nweb          7\ndatabase  1234");
    }

    #[test]
    fn an_empty_table_says_so() {
        let listing = Listing::new(&[("NAME", Align::Left)], "no services");
        assert_eq!(listing.render(&output(None, Painting::Plain)), "no services");
    }

    #[test]
    fn colour_is_written_only_where_it_is_wanted() {
        assert!(!listing().render(&output(None, Painting::Plain)).contains('\x1b'));
        assert!(listing().render(&output(None, Painting::Colored)).contains('\x1b'));
    }

    #[test]
    fn a_narrow_terminal_gets_one_line_a_row() {
        let mut listing = Listing::new(&[("NAME", Align::Left), ("DESCRIPTION", Align::Left)], "");
        listing.row(vec!["web".into(), "a description that is much longer than forty columns allow".into()]);
        let text = listing.render(&output(Some(40), Painting::Plain));
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 40), "{text}");
        assert!(text.contains('…'), "{text}");
    }
}
