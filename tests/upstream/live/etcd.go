package main

import (
	"fmt"
	"net/http"
	"path/filepath"
)

// etcd is where the API servers keep their objects.
type etcd struct {
	process *process
	url     string
}

func startEtcd(p *processes, bin, dir string) (*etcd, error) {
	return withFreePort(func(port int) (*etcd, *process, error) {
		url := fmt.Sprintf("http://127.0.0.1:%d", port)
		started, err := p.start("etcd", filepath.Join(dir, "etcd.log"), nil, filepath.Join(bin, "etcd"),
			"--data-dir="+filepath.Join(dir, fmt.Sprint("etcd-", port)),
			"--listen-client-urls="+url,
			"--advertise-client-urls="+url,
			"--listen-peer-urls=http://127.0.0.1:0", // there are no peers
			"--unsafe-no-fsync",
			"--log-level=warn",
		)
		if err != nil {
			return nil, nil, err
		}
		return &etcd{started, url}, started, started.waitFor(func() error {
			response, err := http.Get(url + "/health")
			if err != nil {
				return err
			}
			return expectOK(response)
		})
	})
}
