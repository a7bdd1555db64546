SELECT monitor, version, document FROM monitor_versions FINAL
WHERE (monitor, version) IN {wanted:Array(Tuple(String, UInt64))}
