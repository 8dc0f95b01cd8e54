# Expect: 100-continue: the backend decides before the body comes.
use strict;
use warnings;
use lib 't/lib';
use PasGate;
use SlowClients;
use Test::More;
use Time::HiRes qw(time);

# By path: /want says 100 and reads; /refuse answers at the head; /early both; /old knows no 100.
my $raw = PasGate::Scripted->new(serve => sub {
    my ($sock, $record) = @_;
    my $buf = '';
    while (1) {
        until ($buf =~ /\r\n\r\n/) {
            sysread $sock, my $piece, 65536 or return;
            $record->($piece);
            $buf .= $piece;
        }
        my ($head) = $buf =~ /^(.*?\r\n\r\n)/s;
        my $expects = $head =~ /^Expect: 100-continue\r$/mi ? 1 : 0;
        return if $head =~ m{ /vanish};
        if ($head =~ m{ /patient(-408|-503)?}) {    # as Tomcat after connectionTimeout, but sooner
            my ($then, $ready) = ($1 // '', IO::Select->new($sock));
            syswrite $sock, "HTTP/1.1 100 Continue\r\n\r\n" if $expects;
            while ($ready->can_read(1.6)) { sysread $sock, my $piece, 65536 or return }
            syswrite $sock, "HTTP/1.1" . $then =~ tr/-/ /r . " Given up\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" if $then;
            return;
        }
        my $say = sub { my ($status, $body) = @_; syswrite $sock, "HTTP/1.1 $status\r\nContent-Length: " . length($body) . "\r\n\r\n$body" };
        if ($head =~ m{ /refuse}) {
            $say->('413 Content Too Large', "refused $expects");
            return if $head =~ m{ /refuse-close};
            $buf = substr $buf, length $head;
            next if $expects;
        }
        syswrite $sock, "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" if $head =~ m{ /early};
        syswrite $sock, "HTTP/1.1 100 Continue\r\n\r\n" if $expects && $head !~ m{ /old};
        my $request = PasGate::Scripted::read_request($sock, \$buf, $record) // return;
        my ($body) = $request =~ /\r\n\r\n(.*)/s;
        $say->('200 OK', "$expects " . length $body);
    }
});
my $gate = PasGate->new(backends => [{ name => 'raw', port => $raw->{port} }], probe => '/', routes => '{ path = "/"; pool = "pas"; }');

# The head of a request alone; then, if it comes to that, the body.
sub ask
{
    my ($c, $target, $body, %opt) = @_;
    my ($head) = $c->build('POST', $target, body => $body, headers => [['Expect', '100-continue']], %opt) =~ /^(.*?\r\n\r\n)/s;
    $c->write($head);
    1 while $c->{buf} !~ /\r\n\r\n/ && $c->fill(10);
    my $first = $c->{buf} =~ m{^HTTP/1\.1 (\d+)} ? $1 : 0;
    if ($first == 103) {
        1 while $c->{buf} !~ /\r\n\r\n.*\r\n\r\n/s && $c->fill(10);
        $first .= " $1" if $c->{buf} =~ m{\r\n\r\nHTTP/1\.1 (\d+)};
    }
    $c->write($opt{chunked} ? join('', map { sprintf "%x\r\n%s\r\n", length, $_ } @{ $opt{chunked} }) . "0\r\n\r\n" : $body) if $first =~ /100$/;
    my $r = $c->response('POST');
    return ($first, $r);
}

my $body = 'x' x 30_000;

subtest 'a backend that wants the body' => sub {
    my $c = $gate->connect;
    for my $n (1 .. 3) {
        my ($first, $r) = ask($c, "/want$n", $body);
        is $first, 100, 'says so';
        is scalar(@{ $r->{interim} }), 1, 'once';
        is "$r->{status} $r->{body}", "200 1 30000", 'and gets it, having been asked';
    }
    my ($first, $r) = ask($c, '/want-small', 'tiny');
    is "$first $r->{body}", '100 1 4', 'a small one, too';
    ($first, $r) = ask($c, '/want-chunks', undef, chunked => ['abc', 'de']);
    like "$first $r->{body}", qr/^100 1 \d+$/, 'in chunks, as well';
    ($first, $r) = ask($c, '/early', $body);
    is "$first $r->{body}", '103 100 1 30000', 'other interim responses come before';
    $c->close;
};

subtest 'one that refuses it' => sub {
    for my $target ('/refuse', '/refuse-close') {
        my $c = $gate->connect;
        my ($first, $r) = ask($c, $target, $body);
        is $first, 413, "$target: its response comes at once";
        is $r->{body}, 'refused 1', 'whole';
        is $r->{h}{connection}, 'close', 'and ends the connection, as the body may come or not';
        $c->write($body);
        $c->rest(10);
        ok $c->{eof}, 'which it does';
        $c->close;
        is $gate->request('POST', '/want', body => 'next')->{body}, '0 4', 'the next one is served';
    }
    ok !grep({ /xxxxx/ } map { m{(POST /refuse .*?)(?=POST|\z)}s } $raw->seen), 'no byte of the body went there';
};

subtest 'one that knows nothing of it' => sub {
    my $c = $gate->connect;
    my ($first, $r) = ask($c, '/old', $body);
    is $first, 100, 'we say it then';
    is $r->{body}, '1 30000', 'the body arrives';
    is scalar(@{ $r->{interim} }), 1, 'after one 100';
    $c->close;
};

subtest 'who does not wait' => sub {
    is $gate->request('POST', '/want', body => 'here it is', headers => [['Expect', '100-continue']])->{body}, '0 10',
      'a body that is there needs no permission';
    my $c = $gate->connect;
    my ($head) = $c->build('POST', '/want', body => 'late', version => 'HTTP/1.0', headers => [['Expect', '100-continue']]) =~ /^(.*?\r\n\r\n)/s;
    $c->write($head);
    $c->write('late');
    my $r = $c->response('POST');
    is "$r->{body} @{$r->{interim}}", '0 4 ', 'HTTP/1.0 knows no 100';
    $c->close;
    is $gate->get('/want', headers => [['Expect', '100-continue']])->{body}, '0 0', 'nor has a GET anything to wait for';
    is $gate->get('/want', headers => [['Expect', 'wonders']])->{status}, 417, 'other expectations are refused';
};

sub raw { return (grep { $_->{name} eq 'raw' } @{ $_[0]->status->{backends} // [] })[0] // {} }

# The head alone, and what is sent of its body; on a connection of its own.
sub begin
{
    my ($gate, $target, $length, $first) = @_;
    my $c = $gate->connect(plain => 1);
    my @expect = defined $first ? () : ['Expect', '100-continue'];
    $c->write($c->build('POST', $target, headers => [@expect, ['Content-Length', $length]]) . ($first // ''));
    return $c;
}

sub permitted
{
    my ($c, $seconds) = @_;
    1 while $c->{buf} !~ /\r\n\r\n/ && $c->fill($seconds);
    return $c->{buf} =~ m{^HTTP/1\.1 100};
}

subtest 'a client that was told to go on, and does not' => sub {
    my $c = begin($gate, '/want', 5);
    my $r = $c->response('POST');
    is "$r->{status} " . @{ $r->{interim} }, "408 1", "408 after 100";
    is $r->{h}{connection}, 'close', 'and the connection ends';
    is lines($gate, 1, sub { ($_->{detail} // '') =~ /no request body after 100 Continue/ }), 1, 'the access log says why';
    my ($line) = grep { ($_->{detail} // '') =~ /no request body/ } $gate->access;
    is $line->{end}, 'client', 'and who ended it';
    ok wait_for { in_flight($gate) == 0 }, 'the slot is free';
    is raw($gate)->{resets}, 0, 'and the backend has done nothing';
};

subtest 'a backend that gives up a body that does not come' => sub {
    my @slow = map { begin($gate, '/patient', 500_000, 'x' x 100_000) } 1 .. 6;
    push @slow, begin($gate, '/patient', 5);
    my %got;
    for my $c (@slow) {
        my $r = $c->response('POST');
        $got{"$r->{status} " . ($r->{h}{connection} // '')}++;
    }
    is_deeply \%got, { '408 close' => 7 }, 'closing it is no fault: the client gets 408';
    is lines($gate, 7, sub { ($_->{detail} // '') =~ /backend gave up/ && $_->{end} eq 'client' }), 7,
      'with a word of its own in the access log';
    my $r = begin($gate, '/patient-408', 500_000, 'x' x 100_000)->response('POST');
    is $r->{status}, 408, 'a 408 of its own passes';
    is begin($gate, '/patient-503', 500_000, 'x' x 100_000)->response('POST')->{status}, 503, 'and so does 503';
    is lines($gate, 9, sub { ($_->{detail} // '') =~ /backend gave up/ && $_->{end} eq 'client' }), 9, 'told alike';
    my $row = raw($gate);
    is "@$row{qw(resets cut timeouts gateway_errors state)}", '0 0 0 0 up', 'nothing of it counts against the backend';
    is begin($gate, '/vanish', 500_000, 'x' x 100_000)->response('POST')->{status}, 502, 'one that closes at once has failed';
    ok wait_for { raw($gate)->{resets} == 1 }, 'which counts';
};

$gate->stop_ok;

subtest 'heads without bodies hold few slots' => sub {
    $gate = PasGate->new(workers => 2, backends => [{ name => 'raw', port => $raw->{port} }], probe => '/', routes => '{ path = "/"; pool = "pas"; }',
        pool => 'max_in_flight = 3; queue = { size = 100; timeout = "500ms"; };');
    my $old = () = join('', $raw->seen) =~ /^Expect: 100/mg;
    my @heads = map { begin($gate, '/want', 5) } 1 .. 12;
    is scalar(grep { permitted($_, 10) } @heads), 12, 'each of twelve is told to go on';
    $_->write('h') for @heads;    # in time
    is in_flight($gate), 1, 'one of them has a slot, with its first byte, too';
    is_deeply all_get($gate, 6, '/get'), { 200 => 6 }, 'all others are served';
    my $new = () = join('', $raw->seen) =~ /^Expect: 100/mg;
    is $new - $old, 1, 'the backend was asked by one, too';
    $_->write('ello') for @heads;
    my %got;
    for my $c (@heads) {
        my $r = $c->response('POST');
        $got{"$r->{status} $r->{body} " . @{ $r->{interim} }}++;
    }
    is_deeply \%got, { '200 1 5 1' => 1, '200 0 5 1' => 11 }, 'and each body arrives, after one 100';
    my ($first) = ask($gate->connect, '/refuse', $body);
    is $first, 413, 'then the next one is refused before its body, as ever';
    $gate->stop_ok;
};

done_testing;
