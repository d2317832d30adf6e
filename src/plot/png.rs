//! Pictures as pixels, for where SVG is not shown.

use std::path::Path;

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree};

use crate::error::{Error, Result};
use crate::output::write_atomic;

/// Pixels a unit of the SVG.
const SCALE: f32 = 2.0;

/// Writes an SVG picture to `path`, which ends in `.svg`, and the same as PNG beside it.
///
/// The PNG's text is in DejaVu Sans, whatever fonts the system has: the same picture everywhere.
///
/// # Errors
/// [`Error::Usage`] when `path` does not end in `.svg`, [`Error::Io`] when a file cannot be written.
pub fn save_both(path: &Path, svg: &str) -> Result<()> {
    super::check_path(path)?;
    write_atomic(path, svg.as_bytes())?;
    let path = path.with_extension("png");
    let png = render(svg).map_err(|e| Error::io("draw", &path)(std::io::Error::other(e)))?;
    write_atomic(&path, &png)
}

fn render(svg: &str) -> std::result::Result<Vec<u8>, String> {
    let mut options = Options::default();
    let fonts = options.fontdb_mut();
    fonts.load_font_data(dejavu::sans::regular().to_vec());
    fonts.load_font_data(dejavu::sans::bold().to_vec());
    fonts.set_sans_serif_family("DejaVu Sans");
    let tree = Tree::from_str(svg, &options).map_err(super::text)?;
    let size = tree.size();
    let (width, height) = ((size.width() * SCALE) as u32, (size.height() * SCALE) as u32);
    let mut pixels = Pixmap::new(width, height).ok_or("a picture without pixels")?;
    resvg::render(&tree, Transform::from_scale(SCALE, SCALE), &mut pixels.as_mut());
    pixels.encode_png().map_err(super::text)
}
