# What `kafka.sh start --secure` adds: TLS, users and an authorizer. Sourced by kafka.sh.
#
# Beside the plain listener, whose clients may do everything, there are two that ask who comes: SASL_SSL (PLAIN, SCRAM-SHA-256 and
# SCRAM-SHA-512, user `tailwater`) and SSL (a certificate that our CA signed). Whom they admit may do nothing until an ACL allows it.
# All keys and passwords are made here, at random, for this folder alone:
#
#   secure/ca.pem                  who signed the broker's certificate
#   secure/other-ca.pem            who did not
#   secure/client.pem client.key   the certificate of `CN=tailwater` and its key, which secure/key-password opens
#   secure/password                the password of the user `tailwater`
#   secure/sasl secure/ssl         addresses of the two listeners

secret() { head -c18 /dev/urandom | base64 | tr '+/' 'AB' >"$1"; }

# NAME SUBJECT ISSUER [ENCRYPTION]: a key and its certificate, signed by ISSUER, or by itself where that is `self`.
certificate() {
  local ca=basicConstraints=critical,CA:TRUE
  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 "${@:4}" -out "$1.key" 2>>openssl.log
  if [ "$3" = self ]; then
    openssl req -new -x509 -key "$1.key" -subj "$2" -days 30 -addext "$ca" -out "$1.pem" 2>>openssl.log
  else
    openssl req -new -key "$1.key" -passin file:key-password -subj "$2" -out "$1.csr" 2>>openssl.log
    openssl x509 -req -in "$1.csr" -CA "$3.pem" -CAkey "$3.key" -CAcreateserial -days 30 -out "$1.pem" \
      -extfile <(echo "subjectAltName=IP:127.0.0.1,DNS:localhost") 2>>openssl.log
  fi
}

make_secrets() {
  [ ! -e "$dir/secure/complete" ] || return 0
  need openssl openssl
  mkdir -p "$dir/secure"
  (
    umask 077
    cd "$dir/secure"
    secret password
    secret key-password
    certificate ca /CN=ca self
    certificate other-ca /CN=other self
    certificate broker /CN=broker ca
    certificate client /CN=tailwater ca -aes256 -pass file:key-password
    cat broker.key broker.pem >broker-both.pem
    touch complete
  ) || die "keys for $dir/secure could not be made; what openssl said: $dir/secure/openssl.log"
}

# PORT_SASL PORT_SSL: lines of server.properties. They replace those of one listener.
secure_properties() {
  local listener password plain=org.apache.kafka.common.security.plain.PlainLoginModule
  local scram=org.apache.kafka.common.security.scram.ScramLoginModule
  password="$(cat "$dir/secure/password")"
  echo "127.0.0.1:$1" >"$dir/secure/sasl"
  echo "127.0.0.1:$2" >"$dir/secure/ssl"
  cat <<EOT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_SSL,TLS:SSL
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
ssl.keystore.type=PEM
ssl.keystore.location=$dir/secure/broker-both.pem
ssl.truststore.type=PEM
ssl.truststore.location=$dir/secure/ca.pem
listener.name.tls.ssl.client.auth=required
listener.name.sasl.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.sasl.plain.sasl.jaas.config=$plain required user_tailwater="$password";
listener.name.sasl.scram-sha-256.sasl.jaas.config=$scram required;
listener.name.sasl.scram-sha-512.sasl.jaas.config=$scram required;
EOT
}

# Sets `users`, arguments of the storage tool.
set_users() {
  local mechanism
  users=()
  for mechanism in SCRAM-SHA-256 SCRAM-SHA-512; do
    users+=(--add-scram "$mechanism=[name=tailwater,password=$(cat "$dir/secure/password")]")
  done
}
