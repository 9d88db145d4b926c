
-- A write that needs no memory comes first: a server whose memory is full lets a script continue once it has
-- written, so that workers can empty it.
call('ZREM', leases, '')
