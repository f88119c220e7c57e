"""Operations: what a run is measured by, the gates that read the measurements, and the tools around a shadow run."""
