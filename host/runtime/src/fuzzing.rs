//! Rewriting of components for the fuzz targets: no part of the interface.

/// A component without the functions that only these exports of its modules
/// reach; none where it is not one.
pub fn strip_setup(component: &[u8], exports: &[String]) -> Option<Vec<u8>> {
    super::strip_setup::strip_setup(component, exports).ok()
}
