//! Tables: one row, one line. What does not fit into the terminal is cut with `…`; where there is no terminal nothing is
//! cut, because programs read it.

use comfy_table::{ContentArrangement, Table};

use super::terminal::{cut, one_line, width_of};

/// What stands between two columns, and before the first one.
const GAP: usize = 2;

/// The lines of a table, which are as wide as this at most.
pub(crate) fn lines<const N: usize>(
    header: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
    width: Option<usize>,
) -> Vec<String> {
    let rows: Vec<[String; N]> = rows.into_iter().map(|row| row.map(|cell| one_line(&cell))).collect();
    let mut widths = header.map(width_of);
    for row in &rows {
        for (column, cell) in row.iter().enumerate() {
            widths[column] = widths[column].max(width_of(cell));
        }
    }
    // On a terminal, a column that says nothing takes the room of those that do.
    let is_shown = |column: usize| width.is_none() || rows.is_empty() || rows.iter().any(|row| !row[column].is_empty());
    let columns: Vec<usize> = (0..N).filter(|column| is_shown(*column)).collect();
    let natural: Vec<usize> = columns.iter().map(|column| widths[*column]).collect();
    let limits = match width {
        Some(width) => fit(&natural, width.saturating_sub(GAP * columns.len())),
        None => natural,
    };
    let cells = |row: &[String; N]| {
        let cells = columns.iter().zip(&limits).map(|(column, limit)| cut(&row[*column], *limit));
        cells.collect::<Vec<_>>()
    };
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(cells(&header.map(str::to_owned)));
    table.add_rows(rows.iter().map(cells));
    table.lines().map(|line| line.trim_end().to_owned()).collect()
}

/// Widths that fit: narrow columns stay as they are, and the widest ones are cut to the same width. The first column,
/// which names the row, is cut last.
fn fit(natural: &[usize], room: usize) -> Vec<usize> {
    let Some((first, others)) = natural.split_first() else { return Vec::new() };
    let capped = |cap: usize| others.iter().map(|width| (*width).min(cap)).sum::<usize>();
    let widest = others.iter().copied().max().unwrap_or_default();
    let cap = (1..=widest).rev().find(|cap| first + capped(*cap) <= room).unwrap_or(1);
    let first = (*first).min(room.saturating_sub(capped(cap)).max(1));
    std::iter::once(first).chain(others.iter().map(|width| (*width).min(cap))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jobs() -> Vec<[String; 5]> {
        let long = "new ssh keys for everybody who has asked for one, and for those who have not asked yet either";
        [
            ["1042", "finished", "puppet", "9980 finished, 12 failed, 8 errored", long],
            ["1041", "failed", "shop::restart_the_whole_thing_now", "1 failed", "line one\nline \u{1b}[31mtwo"],
            ["7", "running", "puppet", "3 running", ""],
        ]
        .map(|row| row.map(str::to_owned))
        .to_vec()
    }

    fn shown(width: Option<usize>) -> String {
        let lines = lines(["JOB", "STATE", "WHAT", "NODES", "DESCRIPTION"], jobs(), width);
        assert_eq!(lines.len(), 4, "one row, one line");
        for line in &lines {
            assert!(width_of(line) <= width.unwrap_or(usize::MAX), "{line}");
        }
        lines.join("\n")
    }

    #[test]
    fn a_table_fits_the_terminal() {
        insta::assert_snapshot!("table_80", shown(Some(80)));
        insta::assert_snapshot!("table_200", shown(Some(200)));
        insta::assert_snapshot!("table_piped", shown(None));
    }

    #[test]
    fn narrow_columns_stay_whole_and_the_first_is_cut_last() {
        assert_eq!(fit(&[4, 8, 40, 9, 60], 60), [4, 8, 19, 9, 19]);
        assert_eq!(fit(&[30, 8, 40], 40), [30, 5, 5]);
        assert_eq!(fit(&[30, 8, 40], 10), [8, 1, 1]);
        assert_eq!(fit(&[3, 8], 40), [3, 8]);
        let empty = lines(["NODE", "CAUSE", "STATE"], [["a", "", "ok"].map(str::to_owned)], Some(40));
        assert_eq!(empty, [" NODE  STATE", " a     ok"]);
    }
}
