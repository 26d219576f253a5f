//! Rewriting of components for the fuzz targets. Not part of the public interface.

/// A component without the functions that only these exports of its modules reach; `None` if it is not a component.
pub fn strip_setup(component: &[u8], exports: &[String]) -> Option<Vec<u8>> {
    super::strip_setup::strip_setup(component, exports).ok()
}
