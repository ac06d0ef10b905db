package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// proxyName is the common name that the API server trusts to name its requestors.
const proxyName = "front-proxy"

// identity is the keys of the API servers, and of the front proxy that this program is to them. One authority, which is
// known to them alone, has signed both.
type identity struct {
	authorityFile, certificateFile, keyFile, signerFile string

	authorities *x509.CertPool
	proxy       tls.Certificate
}

func newIdentity(dir string) (*identity, error) {
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	authorityKey, authorityDER, err := sign(authority, authority, nil)
	if err != nil {
		return nil, err
	}
	if authority, err = x509.ParseCertificate(authorityDER); err != nil {
		return nil, err
	}
	serverKey, serverDER, err := sign(&x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "kube-apiserver"},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}, authority, authorityKey)
	if err != nil {
		return nil, err
	}
	proxyKey, proxyDER, err := sign(&x509.Certificate{
		SerialNumber: big.NewInt(3), Subject: pkix.Name{CommonName: proxyName},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, authority, authorityKey)
	if err != nil {
		return nil, err
	}
	signerKey, err := newKey()
	if err != nil {
		return nil, err
	}

	i := &identity{
		authorityFile:   filepath.Join(dir, "authority.crt"),
		certificateFile: filepath.Join(dir, "kube-apiserver.crt"),
		keyFile:         filepath.Join(dir, "kube-apiserver.key"),
		signerFile:      filepath.Join(dir, "service-accounts.key"),
		authorities:     x509.NewCertPool(),
		proxy:           tls.Certificate{Certificate: [][]byte{proxyDER}, PrivateKey: proxyKey},
	}
	i.authorities.AddCert(authority)
	for _, file := range []struct {
		path string
		der  []byte
		key  *ecdsa.PrivateKey
	}{
		{path: i.authorityFile, der: authorityDER},
		{path: i.certificateFile, der: serverDER},
		{path: i.keyFile, key: serverKey},
		{path: i.signerFile, key: signerKey},
	} {
		block := &pem.Block{Type: "CERTIFICATE", Bytes: file.der}
		if file.key != nil {
			der, err := x509.MarshalECPrivateKey(file.key)
			if err != nil {
				return nil, err
			}
			block = &pem.Block{Type: "EC PRIVATE KEY", Bytes: der}
		}
		if err := os.WriteFile(file.path, pem.EncodeToMemory(block), 0o600); err != nil {
			return nil, err
		}
	}
	return i, nil
}

// sign makes a certificate for a new key, which signs it itself where no other key is given.
func sign(template, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (*ecdsa.PrivateKey, []byte, error) {
	key, err := newKey()
	if err != nil {
		return nil, nil, err
	}
	if parentKey == nil {
		parentKey = key
	}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().AddDate(1, 0, 0)
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	return key, der, err
}

func newKey() (*ecdsa.PrivateKey, error) {
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}
