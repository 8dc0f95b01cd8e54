# NameServers.pm: DNS as it is outside: a resolver at 127.0.0.1, and zones, each with servers of its own.
#
#     my $dns = NameServers->new('shop.test' => ['ns1', 'ns2'], '_acme-challenge.shop.test' => ['ns3']);
#     $dns->put('ns1', 'a.shop.test', 'TXT', 'text');   # one server has this record
#     $dns->asked('ns1', 'TXT', 'a.shop.test');         # how often it was asked
#     Pebble->new(dns_server => $dns);
#
# A server has authority over its zone, refers to the servers of the zones below (with glue), and
# refuses the rest. The resolver asks the last server of a zone and follows CNAME records. A
# server named "dead..." does not exist. All are at $dns->{port}, by UDP and TCP, each at an address of
# its own; t/preload/dns.c leads there who asks at port 53. Records are in the file $dns->{records},
# "SERVER NAME TYPE DATA" by line, for hooks; "- NAME" takes back those before it.
package NameServers;
use strict;
use warnings;
use IO::Select;
use IO::Socket::INET;
use PasGate;
use POSIX ();

use constant { TYPES => { A => 1, NS => 2, CNAME => 5, SOA => 6, TXT => 16 }, FIRST => 10, HOPS => 8, REFUSED => 5 };

sub new
{
    my ($class, @zones) = @_;
    my $self = bless { zones => {@zones}, port => free_port(), records => tmp('dns.records'), queries => tmp('dns.queries') }, $class;
    my ($n, $parent) = (FIRST, $$);
    $self->{address}{$_} //= '127.0.0.' . $n++ for map { @$_ } values %{ $self->{zones} };
    spew($self->{$_}, '') for qw(records queries);
    chmod 0666, $self->{records};
    my @here = (resolver => '127.0.0.1', map { $_ => $self->{address}{$_} } grep { !/^dead/ } keys %{ $self->{address} });
    my (%name, %tcp);
    my $select = IO::Select->new;
    while (my ($name, $address) = splice @here, 0, 2) {
        my @at  = (LocalAddr => $address, LocalPort => $self->{port});
        my $udp = IO::Socket::INET->new(@at, Proto => 'udp') or die "$address: $!";
        my $tcp = IO::Socket::INET->new(@at, Listen => 8, ReuseAddr => 1) or die "$address: $!";
        $name{$_} = $name for $udp, $tcp;
        $tcp{$tcp} = 1;
        $select->add($udp, $tcp);
    }
    $self->{pid} = fork // die "fork: $!";
    if (!$self->{pid}) {
        $SIG{$_} = 'DEFAULT' for qw(TERM INT HUP);
        $SIG{PIPE} = 'IGNORE';
        while (getppid == $parent) {
            for my $socket ($select->can_read(2)) { eval { $self->serve($socket, $name{$socket}, $tcp{$socket}) } }
        }
        POSIX::_exit(0);
    }
    PasGate::remember($self);
    return $self;
}

sub put
{
    my ($self, @record) = @_;
    open my $out, '>>', $self->{records} or die;
    print $out "@record\n";
    return close $out;
}

sub asked
{
    my ($self, @query) = @_;
    return scalar grep { $_ eq "@query" } split /\n/, slurp($self->{queries});
}

# ---- the servers

sub serve
{
    my ($self, $socket, $server, $tcp) = @_;
    if (!$tcp) {
        my $from = $socket->recv(my $query, 4096) // return;
        my $reply = $self->reply($server, $query);
        return $socket->send($reply, 0, $from);
    }
    my $client = $socket->accept or return;
    IO::Select->new($client)->can_read(2) or return;
    $client->sysread(my $query, 4096);
    my $reply = $self->reply($server, substr $query, 2);
    $client->syswrite(pack 'n/a*', $reply);
    return close $client;
}

sub encoded { return join('', map { pack 'C/a*', $_ } split /\./, $_[0]) . "\0" }

sub record
{
    my ($name, $type, $data) = @_;
    my $bytes = $type eq 'A' ? pack('C4', split /\./, $data) : $type eq 'TXT' ? pack('C/a*', $data)
      : $type eq 'SOA' ? encoded("ns.$data") . encoded("root.$data") . pack('N5', 1, (60) x 4) : encoded($data);
    return encoded($name) . pack 'nnNn/a*', TYPES->{$type}, 1, 60, $bytes;
}

# The zone that contains this name.
sub zone_of
{
    my ($self, $name) = @_;
    my ($zone) = sort { length $b <=> length $a } grep { $name =~ /(?:^|\.)\Q$_\E$/ } keys %{ $self->{zones} };
    return $zone;
}

# Records that a server has of this name: [type, data].
sub has
{
    my ($self, $server, $name) = @_;
    my @has;
    for (map { [split / /] } split /\n/, slurp($self->{records})) {
        next if lc $_->[1] ne $name;
        @has = () if $_->[0] eq '-';
        push @has, [@$_[2, 3]] if $_->[0] eq $server;
    }
    return @has;
}

# NS records of a zone, and the glue: addresses of these servers.
sub servers
{
    my ($self, $zone) = @_;
    my @names = @{ $self->{zones}{$zone} };
    return ([map { record($zone, 'NS', "$_.$zone") } @names], [map { record("$_.$zone", 'A', $self->{address}{$_}) } @names]);
}

# What the resolver finds: answers.
sub resolved
{
    my ($self, $name, $type) = @_;
    my @found;
    for (1 .. HOPS) {
        my $zone = $self->zone_of($name) // return @found;
        my ($host) = $name =~ /^(\w+)\.\Q$zone\E$/;
        return record($name, 'A', $self->{address}{$host}) if $type eq 'A' && $host && $self->{address}{$host};
        my @has = $self->has($self->{zones}{$zone}[-1], $name);
        my ($cname) = map { $_->[1] } grep { $_->[0] eq 'CNAME' } @has;
        push @found, map { record($name, @$_) } grep { $_->[0] eq $type || $_->[0] eq 'CNAME' } @has;
        return @found if !$cname || $type eq 'CNAME';
        $name = $cname;
    }
    return @found;
}

sub reply
{
    my ($self, $server, $query) = @_;
    my ($id, $flags) = unpack 'nn', $query;
    my ($name, $at) = ('', 12);
    while (my $n = ord substr $query, $at, 1) { $name .= '.' x !!length($name) . lc substr($query, $at + 1, $n); $at += 1 + $n }
    my ($qtype) = unpack 'n', substr $query, $at + 1;
    my %types = reverse %{ +TYPES };
    my $type = $types{$qtype} // "TYPE$qtype";
    open my $out, '>>', $self->{queries} or die;
    syswrite $out, "$server $type $name\n";

    my $zone = $self->zone_of($name);
    my $mine = grep { $_ eq $server } @{ $self->{zones}{ $zone // '' } // [] };
    my ($code, $aa, $answers, $authority, $more) = (0, $mine ? 0x400 : 0, [], [], []);
    if ($type eq 'NS' && defined $zone && $zone eq $name && ($mine || $server eq 'resolver')) {
        ($answers, $more) = $self->servers($zone);
    } elsif ($server eq 'resolver') {
        $answers = [$self->resolved($name, $type)];
        $code = 3 if !@$answers && !defined $zone;
    } elsif ($mine) {
        $answers = [map { record($name, @$_) } grep { $_->[0] eq $type || $_->[0] eq 'CNAME' } $self->has($server, $name)];
        $authority = [record($zone, 'SOA', $zone)] if !@$answers;
    } elsif (defined $zone && grep { $server eq $_ } map { @{ $self->{zones}{$_} } } grep { $zone =~ /\.\Q$_\E$/ } keys %{ $self->{zones} }) {
        ($authority, $more) = $self->servers($zone);
    } else {
        $code = REFUSED;
    }
    return pack('n6', $id, 0x8000 | $aa | $flags & 0x100 | ($server eq 'resolver' ? 0x80 : 0) | $code,
        1, scalar @$answers, scalar @$authority, scalar @$more)
      . substr($query, 12, $at + 5 - 12) . join '', @$answers, @$authority, @$more;
}

sub end
{
    my ($self) = @_;
    PasGate::forget($self);
    my $pid = delete $self->{pid} or return 1;
    kill 'TERM', $pid;
    PasGate::reap($pid, 5);
    return 1;
}

1;
