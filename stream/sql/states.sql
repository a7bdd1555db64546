SELECT monitor, state FROM stream_state FINAL WHERE partition = {partition:UInt16}
