// The releases whose custom resource definitions scripts/check-crds reads; go.sum has their hashes.
module attestation-filter/crds

go 1.24

require (
	github.com/envoyproxy/gateway v1.9.1
	istio.io/api v1.31.4
)
