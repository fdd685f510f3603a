// A Kubernetes API server with its etcd in one process, for the tests: the real kube-apiserver, on loopback, with nothing
// beside it. DIRECTORY has service-account.key and tokens.csv; the certificate is written there. It ends when its standard
// input does.
package main

import (
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"

	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

func main() {
	if len(os.Args) < 3 {
		fail("usage: apiserver DIRECTORY PORT [FLAG...]")
	}
	directory, port := os.Args[1], os.Args[2]
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	etcd := startEtcd(filepath.Join(directory, "etcd"))
	command := app.NewAPIServerCommand()
	command.SetArgs(append([]string{
		"--etcd-servers=" + etcd,
		"--bind-address=127.0.0.1",
		"--secure-port=" + port,
		"--cert-dir=" + directory,
		"--authorization-mode=RBAC",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + filepath.Join(directory, "service-account.key"),
		"--service-account-signing-key-file=" + filepath.Join(directory, "service-account.key"),
		"--service-cluster-ip-range=10.0.0.0/24",
		"--disable-admission-plugins=ServiceAccount",
		"--token-auth-file=" + filepath.Join(directory, "tokens.csv"),
	}, os.Args[3:]...))
	if err := command.Execute(); err != nil {
		fail(err.Error())
	}
}

// startEtcd returns the URL at which the store answers.
func startEtcd(directory string) string {
	config := embed.NewConfig()
	config.Dir = directory
	config.LogLevel = "error"
	client, peer := free(), free()
	config.ListenClientUrls, config.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	config.ListenPeerUrls, config.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	etcd, err := embed.StartEtcd(config)
	if err != nil {
		fail(err.Error())
	}
	<-etcd.Server.ReadyNotify()
	return client.String()
}

// free returns an address of loopback that nothing listens on.
func free() url.URL {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fail(err.Error())
	}
	defer listener.Close()
	return url.URL{Scheme: "http", Host: listener.Addr().String()}
}

func fail(text string) {
	fmt.Fprintln(os.Stderr, text)
	os.Exit(1)
}
