"""Node to node and process to process: a framed stream with acknowledgement and credit.

A local connector process, a compute worker and a remote edge are the same thing
to core: an uplink that keeps what is not acknowledged and sends it again.
"""
