//! A frame as text, with or without colours, for `--snapshot` and for tests.

use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};
use unicode_width::UnicodeWidthStr as _;

/// The frame's rows; with `ansi`, colours as SGR sequences.
pub fn text_of(buf: &Buffer, ansi: bool) -> String {
  let area = buf.area;
  let mut out = String::new();
  for y in area.top()..area.bottom() {
    let (mut skip, mut style, mut row) = (0, String::new(), String::new());
    for x in area.left()..area.right() {
      let Some(cell) = buf.cell((x, y)) else { continue };
      if skip > 0 {
        skip -= 1;
        continue;
      }
      if ansi {
        let wanted = sgr(cell);
        if wanted != style {
          row.push_str(&wanted);
          style = wanted;
        }
      }
      row.push_str(cell.symbol());
      skip = cell.symbol().width().saturating_sub(1);
    }
    if ansi {
      out.push_str(&row);
      out.push_str("\x1b[0m");
    } else {
      out.push_str(row.trim_end());
    }
    out.push('\n');
  }
  out
}

fn sgr(cell: &Cell) -> String {
  let mut codes = vec!["0".to_owned()];
  let modifiers = [
    (Modifier::BOLD, "1"),
    (Modifier::DIM, "2"),
    (Modifier::UNDERLINED, "4"),
    (Modifier::REVERSED, "7"),
  ];
  codes.extend(
    modifiers.iter().filter(|(bit, _)| cell.modifier.contains(*bit)).map(|it| it.1.to_owned()),
  );
  codes.extend(color(cell.fg, 30));
  codes.extend(color(cell.bg, 40));
  format!("\x1b[{}m", codes.join(";"))
}

fn color(color: Color, base: u8) -> Option<String> {
  let plain = |number: u8| {
    let code = if number < 8 { base + number } else { base + 60 + number - 8 };
    Some(code.to_string())
  };
  match color {
    Color::Reset => None,
    Color::Black => plain(0),
    Color::Red => plain(1),
    Color::Green => plain(2),
    Color::Yellow => plain(3),
    Color::Blue => plain(4),
    Color::Magenta => plain(5),
    Color::Cyan => plain(6),
    Color::Gray => plain(7),
    Color::DarkGray => plain(8),
    Color::LightRed => plain(9),
    Color::LightGreen => plain(10),
    Color::LightYellow => plain(11),
    Color::LightBlue => plain(12),
    Color::LightMagenta => plain(13),
    Color::LightCyan => plain(14),
    Color::White => plain(15),
    Color::Indexed(number) => Some(format!("{};5;{number}", base + 8)),
    Color::Rgb(r, g, b) => Some(format!("{};2;{r};{g};{b}", base + 8)),
  }
}
