#!/usr/bin/perl
# 132 challenges at once: two certificates of 66 names each, one by http-01, the other one by
# tls-alpn-01. Each challenge is answered while all are pending, each name is then served, and
# no challenge is left.
use strict;
use warnings;
use lib 't/lib';
use AcmeGate;
use FaultProxy;
use IO::Socket::SSL;
use JSON::PP;
use PasGate;
use Pebble;
use Test::More;

plan skip_all => 'no pebble here (t/install-deps.sh)' unless Pebble::available();

use constant NAMES => 66;

my %kind  = (web => 'http-01', alpn => 'tls-alpn-01');
my %names = map { my $cert = $_; $cert => [map { "n$_.$cert.test" } 1 .. NAMES] } keys %kind;

# Until "go", the CA's verdict on any name is held back: its authorization stays pending. "asked"
# has the challenges that the CA was told to validate, once these are all.
my ($go, $asked) = map { tmp($_) } qw(go asked);
my (%challenge, %told);
my $held = sub {
    my ($reply) = @_;
    my $json = eval { decode_json($reply->{body}) } // {};
    if (my $of = $json->{identifier}) {
        $challenge{ $_->{url} } = "$of->{value} $_->{type} $_->{token}\n" for @{ $json->{challenges} };
        $json->{status} = 'pending';
        $reply->{body} = encode_json($json) if !-e $go;
    } elsif (my $challenge = $challenge{ $json->{url} // '' }) {
        $told{$challenge} = 1;
        spew("$asked.new", join '', keys %told) && rename "$asked.new", $asked if keys %told == NAMES * keys %kind;
    }
    return;
};
my $ca    = Pebble->new;
my $proxy = FaultProxy->new($ca, [qr{.}, 0, $held]);
my $gate  = acme_gate($ca, directory => $proxy->directory, workers => 2, acme => 'preflight = false; staging = "off";',
    certs => join(', ', map {
            my $names = join ', ', map { qq("$_") } @{ $names{$_} };
            qq({ name = "$_"; names = [ $names ]; challenges = [ "$kind{$_}" ]; })
    } sort keys %names),
    listen => qq({ address = "127.0.0.1:$ca->{http_port}"; redirect = "https"; redirect_port = 443; }, )
      . qq({ address = "127.0.0.1:$ca->{tls_port}"; tls = true; }));

ok wait_for(sub { -e $asked }, 200), 'all challenges are pending at one time' or do { $gate->tell; die "not all are pending\n" };
my %token;
for (split /\n/, slurp($asked)) {
    my ($name, $kind, $token) = split / /;
    $token{$kind}{$name} = $token;
}

sub get
{
    my ($token) = @_;
    my $r = $gate->get("/.well-known/acme-challenge/$token", plain => 1, port => $ca->{http_port});
    return "$r->{status} $r->{body}";
}

my $web = $token{'http-01'};
is_deeply [sort keys %$web], [sort @{ $names{web} }], 'those by http-01';
is_deeply [grep { get($web->{$_}) !~ /^200 \Q$web->{$_}\E\.[\w-]{43}$/ } sort keys %$web], [], 'are answered, each one';

# The names in the certificate that a handshake for such a challenge shows.
sub shown
{
    my ($name) = @_;
    my $sock = IO::Socket::SSL->new(PeerAddr => '127.0.0.1', PeerPort => $ca->{tls_port}, SSL_hostname => $name,
        SSL_alpn_protocols => ['acme-tls/1'], SSL_verify_mode => SSL_VERIFY_NONE, Timeout => 10) or return "none: $SSL_ERROR";
    my %names = ($sock->alpn_selected // '') eq 'acme-tls/1' ? $sock->peer_certificate('subjectAltNames') : ();
    $sock->close;
    return join ' ', map { ref ? () : $_ } values %names;
}

my $alpn = $token{'tls-alpn-01'};
is_deeply [sort keys %$alpn], [sort @{ $names{alpn} }], 'those by tls-alpn-01';
is_deeply { map { $_ => shown($_) } keys %$alpn }, { map { $_ => $_ } keys %$alpn }, 'are answered, each with the certificate of its name';

spew($go, '');
for my $cert (sort keys %names) {
    ok wait_row($gate, sub { my $row = cert_row($gate, $cert); $row->{source} eq 'acme' && $row->{loaded} == 2 }, 120), "$cert is live" or $gate->tell;
    is verified($gate, $ca, $_), '', "$_ is verified" for @{ $names{$cert} }[0, 35, -1];
    my ($leaf) = spew(tmp("$cert.leaf"), served($gate, $names{$cert}[-1]));
    my (undef, $text) = run_cmd('openssl', 'x509', '-noout', '-text', '-in', $leaf);
    is_deeply [sort $text =~ /DNS:([^,\s]+)/g], [sort @{ $names{$cert} }], 'and has all names';
}
is $ca->said(qr/Added order "/), 2, 'of two orders';
unlike $gate->log_text, qr/not ordered|cannot be published/, 'without a failure';
ok wait_for(sub { get($web->{ $names{web}[0] }) !~ m{^200} }), 'no challenge is left';
$gate->stop_ok;
done_testing;
