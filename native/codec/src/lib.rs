//! Erlang terms as bytes, without the BEAM.
