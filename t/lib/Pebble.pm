# Pebble.pm: Let's Encrypt's test CA and its DNS, on their own ports on the loopback.
#
#     my $ca = Pebble->new(nonce_reject => 20);
#     $ca->directory;             # https URL
#     $ca->ca_file;               # root of its own TLS certificate
#     $ca->root(0);               # root of the certificates that it issues, PEM
#     $ca->{http_port};           # port at which it asks for http-01; {tls_port}: tls-alpn-01
#     $ca->dns('set-txt', { host => '...', value => '...' });
#     $ca->said(qr/.../);         # how often its log matches
#
#     $ca->issued;                # [serial number, order] of each certificate that it issued
#     $ca->finds($serial);        # does it find the one that "replaces" names? Not 1 in 256.
#     $ca->renewal_info($pem, $answer);   # newer ones: sets the ARI response for a certificate
#
# Options: nonce_reject, authz_reuse (percent), eab => { kid => key }, more => { settings of
# "pebble" }, env => { further variables }, newer => 1, dns_server => a NameServers instead of its own
# DNS. The binaries are $PEBBLE and $CHALLTESTSRV,
# or Debian's; newer ones, with ARI, profiles and IP names, come from t/install-deps.sh.
package Pebble;
use strict;
use warnings;
use JSON::PP;
use PasGate;
use POSIX qw(WNOHANG);
use Test::More ();

my $count = 0;

sub available
{
    my ($newer) = @_;
    return !grep { (run_cmd('sh', '-c', "command -v $_"))[0] } binaries($newer);
}

sub binaries
{
    my ($newer) = @_;
    my $folder = $newer ? PasGate::test_tools() . '/' : '';
    return ($ENV{PEBBLE} // $folder . 'pebble', $ENV{CHALLTESTSRV} // $folder . 'pebble-challtestsrv');
}

sub new
{
    my ($class, %opt) = @_;
    my $self = bless { nonce_reject => 0, authz_reuse => 0, %opt, n => ++$count }, $class;
    @$self{qw(port management_port http_port tls_port dns_management)} = free_ports(5);
    $self->{dns_port} = $self->{dns_server} ? $self->{dns_server}{port} : free_port();
    $self->{log} = tmp("pebble$self->{n}.log");
    @$self{qw(chain key)} = PasGate::make_cert("pebble$self->{n}", 'localhost', '127.0.0.1');
    spew($self->conf_file, encode_json({
        pebble => {
            listenAddress           => "127.0.0.1:$self->{port}",
            managementListenAddress => "127.0.0.1:$self->{management_port}",
            certificate             => $self->{chain},
            privateKey              => $self->{key},
            httpPort                => 0 + $self->{http_port},
            tlsPort                 => 0 + $self->{tls_port},
            ocspResponderURL        => '',
            retryAfter              => { authz => 1, order => 1 },    # of newer ones: 3 and 5 s
            externalAccountBindingRequired => $self->{eab} ? JSON::PP::true : JSON::PP::false,
            ($self->{eab} ? (externalAccountMACKeys => $self->{eab}) : ()),
            %{ $self->{more} // {} },
        } }));
    $self->start;
    return $self;
}

sub conf_file { return tmp("pebble$_[0]{n}.json") }
sub ca_file   { return tmp('ca.pem') }
sub directory { return "https://127.0.0.1:$_[0]{port}/dir" }

sub start
{
    my ($self) = @_;
    my $dns = "127.0.0.1:$self->{dns_port}";
    local %ENV = (
        %ENV,
        PEBBLE_VA_NOSLEEP      => 1,
        PEBBLE_WFE_NONCEREJECT => $self->{nonce_reject},
        PEBBLE_AUTHZREUSE      => $self->{authz_reuse},
        PEBBLE_CHAIN_LENGTH    => 2,
        PEBBLE_ALTERNATE_ROOTS => 1,
        %{ $self->{env} // {} });

    # Version 2.5 renamed this option.
    my ($pebble, $server) = binaries($self->{newer});
    my ($code, $usage) = run_cmd($server, '-help');
    my $option = $usage =~ /-dnsserver\b/ ? '-dnsserver' : '-dns01';
    $self->{dns_pid} = $self->{dns_server} ? 0 : PasGate::spawn("$self->{log}.dns", $server, $option => $dns,
        -management => "127.0.0.1:$self->{dns_management}", -http01 => '', -https01 => '',
        -tlsalpn01 => '', ($usage =~ /-doh\b/ ? (-doh => '') : ()), -defaultIPv4 => '127.0.0.1',
        -defaultIPv6 => '');
    $self->{pid} = PasGate::spawn($self->{log}, $pebble, '-strict', -config => $self->conf_file,
        -dnsserver => $dns);
    PasGate::remember($self);
    # It first creates RSA keys: a second of CPU time, and much longer on a busy machine.
    my $answers = sub { return $self->fetch("127.0.0.1:$self->{port}/dir") };
    wait_for { $answers->() || waitpid($self->{pid}, WNOHANG) } 120;
    $answers->() or do {
        $self->tell;
        die "pebble does not answer\n";
    };
    $self->{dns_server} or wait_for { $self->dns('clear-txt', { host => 'none.test.' }) } or die "its DNS does not answer\n";
}

sub fetch
{
    my ($self, $where, @more) = @_;
    my ($code, $text) = run_cmd('curl', '-sf', '--max-time', 10, '--cacert', ca_file(), @more,
        "https://$where");
    return $code ? undef : $text;
}

# A file with root number $n in PEM.
sub root
{
    my ($self, $n) = @_;
    my $pem = $self->fetch("127.0.0.1:$self->{management_port}/roots/" . ($n // 0))
      or die "no root from pebble\n";
    return spew(tmp("pebble$self->{n}-root$n.pem"), $pem);
}

# The common name of root number $n.
sub root_name
{
    my ($self, $n) = @_;
    my ($code, $text) = run_cmd('openssl', 'x509', '-noout', '-subject', '-nameopt', 'multiline',
        '-in', $self->root($n));
    return $text =~ /commonName\s*=\s*(.*\S)/ ? $1 : die "no name in root $n: $text";
}

sub renewal_info
{
    my ($self, $pem, $answer) = @_;
    my $body = spew(tmp("pebble$self->{n}.ari"), encode_json({ Certificate => $pem, ARIResponse => $answer }));
    return defined $self->fetch("127.0.0.1:$self->{management_port}/set-renewal-info/", '--data-binary', "\@$body");
}

sub dns
{
    my ($self, $what, $body) = @_;
    my ($code) = run_cmd('curl', '-sf', '--max-time', 10, '-d', encode_json($body),
        "http://127.0.0.1:$self->{dns_management}/$what");
    return $code == 0;
}

sub said
{
    my ($self, $pattern) = @_;
    my $n = () = slurp($self->{log}) =~ /$pattern/g;
    return $n;
}

sub issued
{
    my ($self) = @_;
    return map { [/(\S+) for order (\S+)/] } slurp($self->{log}) =~ /Issued certificate serial (.*)/g;
}

# RFC 9773 identifies a certificate by the content of the DER integer, which begins with 00 if the
# highest bit of the number is set. Pebble 2.10 looks for "replaces" with that 00 among numbers
# without it, finds nothing, and refuses the order with a 500.
sub finds
{
    my ($self, $serial) = @_;
    return hex(substr $serial, 0, 2) < 0x80;
}

sub end
{
    my ($self) = @_;
    PasGate::forget($self);
    for my $pid (grep { $_ } delete @$self{qw(pid dns_pid)}) {
        kill 'TERM', $pid;
        defined PasGate::reap($pid, 5) or do { kill 'KILL', $pid; PasGate::reap($pid, 5) };
    }
    return 1;
}

sub tell
{
    my ($self) = @_;
    my @lines = split /\n/, slurp($self->{log});
    splice @lines, 0, -25 if @lines > 25;
    Test::More::diag("pebble: $_") for @lines;
}

1;
