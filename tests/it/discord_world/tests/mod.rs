//! The stand-in refuses what Discord refuses, and the real client finds nothing odd about it.

mod sdk;
