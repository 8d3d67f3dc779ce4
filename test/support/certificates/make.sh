#!/bin/sh
# Makes the certificates of the tests again, with openssl 3. They last 100 years; the keys guard nothing.
set -eu
cd "$(dirname "$0")"
rm -f ./*.pem
days=36500
san="subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1"

# self_signed NAME DIGEST KEY-OPTIONS...: NAME.pem holds a certificate for localhost, then its key
self_signed() {
  name=$1 digest=$2
  shift 2
  openssl req -x509 -nodes -days $days -subj /CN=localhost -addext "$san" "-$digest" "$@" -keyout key.tmp -out certificate.tmp 2> log.tmp
  cat certificate.tmp key.tmp > "$name.pem"
}

self_signed rsa sha256 -newkey rsa:2048
self_signed rsa-sha1 sha1 -newkey rsa:2048
self_signed rsa-sha384 sha384 -newkey rsa:2048
self_signed rsa-sha512 sha512 -newkey rsa:2048
self_signed rsa-pss sha384 -newkey rsa:2048 -sigopt rsa_padding_mode:pss
self_signed ecdsa sha256 -newkey ec -pkeyopt ec_paramgen_curve:P-256
self_signed ecdsa-sha384 sha384 -newkey ec -pkeyopt ec_paramgen_curve:P-256
self_signed ed25519 sha512 -newkey ed25519

# The same certificate in two files, with the key in clear and with the key under the password "secret"
openssl x509 -in rsa.pem -out rsa-certificate.pem
openssl pkey -in rsa.pem -out rsa-key.pem
openssl pkey -in rsa.pem -aes256 -passout pass:secret -out rsa-key-encrypted.pem
cat rsa-certificate.pem rsa-key-encrypted.pem > rsa-encrypted.pem
openssl pkey -in rsa-sha512.pem -out other-key.pem
cat rsa-certificate.pem other-key.pem > mismatch.pem

# A small authority, an intermediate one, and a server certificate with its chain
openssl req -x509 -nodes -days $days -subj '/CN=Test CA' -newkey ec -pkeyopt ec_paramgen_curve:P-256 \
  -addext basicConstraints=critical,CA:TRUE -keyout ca-key.pem -out ca.pem 2> log.tmp
signed() { # NAME SUBJECT EXTENSIONS ISSUER ISSUER-KEY
  openssl req -new -nodes -subj "$2" -newkey ec -pkeyopt ec_paramgen_curve:P-256 -keyout key.tmp -out request.tmp 2> log.tmp
  printf '%s\n' "$3" > extensions.tmp
  openssl x509 -req -days $days -in request.tmp -CA "$4" -CAkey "$5" -extfile extensions.tmp -out certificate.tmp 2> log.tmp
}
signed intermediate '/CN=Test intermediate CA' basicConstraints=critical,CA:TRUE ca.pem ca-key.pem
mv certificate.tmp intermediate.tmp
mv key.tmp intermediate-key.tmp
signed chain /CN=localhost "$san" intermediate.tmp intermediate-key.tmp
cat certificate.tmp intermediate.tmp key.tmp > chain.pem

# Certificates of clients, each with its key: four of the authority's (one expired, one revoked), two self-signed ones
# (one expired), and one of an authority that nobody trusts
client() { # NAME USER ISSUER ISSUER-KEY
  signed "$1" "/CN=$2" "subjectAltName=otherName:1.3.6.1.5.5.7.8.5;UTF8:$2@localhost" "$3" "$4"
  cat certificate.tmp key.tmp > "$1.pem"
}
client client romeo ca.pem ca-key.pem
client client-sibling juliet ca.pem ca-key.pem
client client-revoked mercutio ca.pem ca-key.pem
self_signed client-self-signed sha256 -newkey ec -pkeyopt ec_paramgen_curve:P-256
openssl req -x509 -nodes -days $days -subj '/CN=Other CA' -newkey ec -pkeyopt ec_paramgen_curve:P-256 \
  -addext basicConstraints=critical,CA:TRUE -keyout other-ca-key.tmp -out other-ca.tmp 2> log.tmp
client client-other-authority romeo other-ca.tmp other-ca-key.tmp

# What `x509 -req` cannot do: an end in the past, and lists of what was revoked
printf '%s\n' '[ca]' 'default_ca = test' '[test]' 'database = index.tmp' 'serial = serial.tmp' 'new_certs_dir = .' \
  'default_md = sha256' 'policy = any' '[any]' 'commonName = supplied' > ca.tmp
: > index.tmp
echo 'unique_subject = no' > index.tmp.attr
echo 01 > serial.tmp
openssl req -new -nodes -subj /CN=romeo -newkey ec -pkeyopt ec_paramgen_curve:P-256 -keyout key.tmp -out request.tmp 2> log.tmp
openssl ca -batch -config ca.tmp -cert ca.pem -keyfile ca-key.pem -startdate 20200101000000Z -enddate 20210101000000Z \
  -notext -in request.tmp -out certificate.tmp 2> log.tmp
cat certificate.tmp key.tmp > client-expired.pem
openssl ca -batch -config ca.tmp -selfsign -keyfile key.tmp -startdate 20200101000000Z -enddate 20210101000000Z \
  -notext -in request.tmp -out certificate.tmp 2> log.tmp
cat certificate.tmp key.tmp > client-self-signed-expired.pem
openssl ca -config ca.tmp -cert ca.pem -keyfile ca-key.pem -revoke client-revoked.pem 2> log.tmp
openssl ca -config ca.tmp -cert ca.pem -keyfile ca-key.pem -gencrl -crldays $days -out crl.pem 2> log.tmp
rm -f 0?.pem index.tmp* serial.tmp*

# Parameters for Diffie-Hellman of another size than what OpenSSL chooses beside these certificates (RFC 7919)
openssl genpkey -genparam -algorithm DH -pkeyopt group:ffdhe3072 -out dh.pem

rm -f ./*.tmp ./*.srl
