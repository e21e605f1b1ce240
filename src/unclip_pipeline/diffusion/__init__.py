"""The mathematics of diffusion on tensors. A network is any callable; nothing here knows one."""
