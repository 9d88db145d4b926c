//! Pages for people: tables, fields and lines.

use ivy_proto::text::EscapedInFull;

/// The text of a cell without a value.
const NONE: &str = "-";
const GAP: &str = "  ";
const BOLD: &str = "\u{1b}[1m";
const PLAIN: &str = "\u{1b}[0m";

/// On which side the cells of a column are aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Align {
    Left,
    Right,
}

/// A column of a table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    name: &'static str,
    align: Align,
}

impl Column {
    pub(crate) const fn left(name: &'static str) -> Self {
        Column { name, align: Align::Left }
    }

    pub(crate) const fn right(name: &'static str) -> Self {
        Column { name, align: Align::Right }
    }
}

/// A page that is being written. All text is escaped.
#[derive(Debug)]
pub(crate) struct Page {
    text: String,
    has_color: bool,
}

impl Page {
    pub(super) fn new(has_color: bool) -> Self {
        Page { text: String::new(), has_color }
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }

    /// Adds a line.
    pub(crate) fn line(&mut self, text: &str) {
        self.text += &format!("{}\n", EscapedInFull(text));
    }

    /// Adds fields below each other, with their values aligned.
    pub(crate) fn fields(&mut self, fields: &[(&str, String)]) {
        let width = fields.iter().map(|(name, _)| width(name)).max().unwrap_or(0);
        for (name, value) in fields {
            let room = " ".repeat(width - self::width(name));
            self.text += &format!("{name}{room}{GAP}{}\n", EscapedInFull(value));
        }
    }

    /// Adds a table with a header. A cell without a value is a dash.
    pub(crate) fn table(
        &mut self,
        columns: &[Column],
        rows: impl IntoIterator<Item = Vec<Option<String>>>,
    ) {
        let cell = |cell: Option<String>| {
            cell.map_or_else(|| NONE.to_owned(), |text| EscapedInFull(&text).to_string())
        };
        let rows: Vec<Vec<String>> =
            rows.into_iter().map(|row| row.into_iter().map(cell).collect()).collect();
        let header: Vec<String> = columns.iter().map(|column| column.name.to_owned()).collect();
        let mut widths: Vec<usize> = header.iter().map(|name| width(name)).collect();
        for row in &rows {
            for (widest, cell) in widths.iter_mut().zip(row) {
                *widest = width(cell).max(*widest);
            }
        }
        let (start, end) = if self.has_color { (BOLD, PLAIN) } else { ("", "") };
        self.text += &format!("{start}{}{end}\n", aligned(&header, columns, &widths));
        for row in &rows {
            self.text += &format!("{}\n", aligned(row, columns, &widths));
        }
    }
}

fn aligned(cells: &[String], columns: &[Column], widths: &[usize]) -> String {
    let mut line = String::new();
    for ((cell, column), widest) in cells.iter().zip(columns).zip(widths) {
        if !line.is_empty() {
            line += GAP;
        }
        let room = " ".repeat(widest - width(cell));
        match column.align {
            Align::Left => line += &format!("{cell}{room}"),
            Align::Right => line += &format!("{room}{cell}"),
        }
    }
    line.truncate(line.trim_end().len());
    line
}

fn width(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Vec<Option<String>>> {
        let text = |text: &str| Some(text.to_owned());
        vec![vec![text("mail"), text("12"), None], vec![text("reports\n"), text("7"), text("x")]]
    }

    const COLUMNS: [Column; 3] =
        [Column::left("QUEUE"), Column::right("SIZE"), Column::left("NOTE")];

    #[test]
    fn columns_are_aligned_and_control_characters_escaped() {
        let mut page = Page::new(false);
        page.table(&COLUMNS, rows());
        let expected = "\
QUEUE      SIZE  NOTE
mail         12  -
reports\\n     7  x
";
        assert_eq!(page.into_text(), expected);
    }

    #[test]
    fn only_the_header_is_highlighted() {
        let mut page = Page::new(true);
        page.table(&COLUMNS, rows());
        let text = page.into_text();
        assert!(text.starts_with("\u{1b}[1mQUEUE      SIZE  NOTE\u{1b}[0m\n"), "{text}");
        assert_eq!(text.matches('\u{1b}').count(), 2);
    }

    #[test]
    fn fields_are_aligned() {
        let mut page = Page::new(false);
        page.fields(&[("task", "mail.send".to_owned()), ("message", "6114\u{1b}".to_owned())]);
        assert_eq!(page.into_text(), "task     mail.send\nmessage  6114\\u{1b}\n");
    }
}
