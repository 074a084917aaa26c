"""How is a phase an IDAES flowsheet? One process block per unit operation, in real time, with IDAES ports and tools."""
