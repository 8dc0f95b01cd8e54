# AcmeGate.pm: a pasgate that gets its certificates from a Pebble (Pebble.pm), and checks of them.
#
#     my $gate = acme_gate($ca, acme => 'profile = "shortlived";');
#     ok wait_row($gate, sub { $_->{source} eq 'acme' }), 'it came';
#     is verified($gate, $ca, 'www.shop.test'), '', 'and is served';
package AcmeGate;
use strict;
use warnings;
use Exporter 'import';
use IO::Socket::SSL;
use PasGate;

our @EXPORT = qw(acme_gate cert_row wait_row wait_issued verified served state_of change_state);

my ($gates, $backend) = 0;

# Options in addition to those of PasGate: names => [...], acme => more settings of acme, store,
# directory, address. The CA asks for http-01 at its plain listener, by IPv4 and IPv6. With an
# address of its own (on the loopback) it is reached only by its names, so that several gates can
# share one CA.
sub acme_gate
{
    my ($ca, %opt) = @_;
    $backend //= PasGate::StandIn->new('pas1');
    my $acme  = delete $opt{acme} // '';
    my $store = $opt{store} //= tmp('store-of-' . ++$gates);
    my @names = @{ delete $opt{names} // ['www.shop.test', 'shop.test'] };
    my $names = join ', ', map { qq("$_") } @names;
    my $address = delete $opt{address};
    $ca->dns('add-a', { host => "$_.", addresses => [$address] }) or die "no name $_\n" for $address ? @names : ();
    my $directory = delete $opt{directory} // $ca->directory;
    return PasGate->new(
        backends => [$backend], no_probe => 1,
        certs    => "{ names = [ $names ]; }",
        listen   => join(', ', map { qq({ address = "$_:$ca->{http_port}"; redirect = "https"; redirect_port = 443; }) }
              $address // ('127.0.0.1', '[::1]')),
        global => sprintf('acme = { store = "%s"; directory = "%s"; ca_file = "%s"; resolver = "127.0.0.1:%s"; http_port = %s; %s };',
            $store, $directory, $ca->ca_file, $ca->{dns_port}, $ca->{http_port}, $acme),
        %opt);
}

# The row of a certificate in the status: by its name, else the first one.
sub cert_row
{
    my ($gate, $name) = @_;
    my ($row) = grep { !defined $name || $_->{name} eq $name } @{ $gate->status->{certificates} // [] };
    return $row // { name => '', source => '', error => '', generation => 0 };
}

# Waits until $what, with the row in $_.
sub wait_row
{
    my ($gate, $what, $seconds) = @_;
    return wait_for { local $_ = cert_row($gate); $what->() } $seconds // 60;
}

sub wait_issued
{
    my ($gate, $generation, $seconds) = @_;
    return wait_row($gate, sub { $_->{source} eq 'acme' && $_->{generation} >= ($generation // 1) }, $seconds);
}

# Verifies with openssl, up to the root of the CA, what is served for this name: '' or the error.
# For an address, no server name is sent, as clients do.
sub verified
{
    my ($gate, $ca, $name) = @_;
    my $is_ip = $name =~ /^[\d.]+$|:/;
    my ($code, $said) = run_cmd('openssl', 's_client', '-connect', "127.0.0.1:$gate->{tls}", '-CAfile', $ca->root(0),
        '-verify_return_error', $is_ip ? ('-noservername', '-verify_ip', $name)
        : ('-servername', $name, '-verify_hostname', $name));
    return $code ? $said : '';
}

# The leaf certificate that is served, as PEM.
sub served
{
    my ($gate, $name) = @_;
    my $sock = IO::Socket::SSL->new(PeerAddr => '127.0.0.1', PeerPort => $gate->{tls}, SSL_hostname => $name // '',
        SSL_verify_mode => SSL_VERIFY_NONE, Timeout => 10) or return '';
    my $pem = Net::SSLeay::PEM_get_string_X509($sock->peer_certificate);
    $sock->close;
    return $pem;
}

# The state file of acmed for its first certificate: { key => value }.
sub state_of
{
    my ($gate) = @_;
    my ($file) = glob "$gate->{store}/orders/*/state";
    return { map { /^(\w+)=(.*)$/ ? ($1 => $2) : () } split /\n/, slurp($file // '') };
}

# Changes that file while pasgate is not running, as if time had passed.
sub change_state
{
    my ($gate, %change) = @_;
    my ($file) = glob "$gate->{store}/orders/*/state";
    my $text = slurp($file);
    $text =~ s/^$_=.*$/$_=$change{$_}/m or die "no $_ in $file" for keys %change;
    return spew($file, $text);
}

1;
