package main

import (
	"strings"
	"testing"
	"time"
)

func TestOriginFlags(t *testing.T) {
	good := originFlags{natsReplicas: 1}
	if err := good.check(); err != nil || good.elsewhere() != nil {
		t.Errorf("%v, %v", err, good.elsewhere())
	}
	for want, f := range map[string]originFlags{
		"--max-stale":      {natsReplicas: 1, maxStale: -1},
		"--snapshot-every": {natsReplicas: 1, snapshotEvery: -time.Second},
		"--nats-replicas":  {natsReplicas: 2, nats: "nats://h"},
		"with --nats":      {natsReplicas: 3},
	} {
		if err := f.check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	f := originFlags{nats: "nats://u:p@ss@a:1, b:2,tls://u@c:3", natsReplicas: 3}
	if got := f.elsewhere(); got.URL != f.nats || got.Replicas != 3 {
		t.Errorf("%+v", got)
	}
}
