<%@ include file="common.jspf" %>
<%-- A download that lasts: n events, ms apart. --%>
<%
    long n = number(request, "n", 10), ms = number(request, "ms", 100);
    response.setContentType("text/event-stream");
    response.setHeader("Cache-Control", "no-store");
    out.clear();
    out = pageContext.pushBody();
    java.io.OutputStream to = response.getOutputStream();
    for (long i = 1; i <= n; i++) {
        if (i > 1)
            Thread.sleep(ms);
        to.write(("id: " + i + "\ndata: tick\n\n").getBytes("ISO-8859-1"));
        to.flush();
    }
    to.close();
%>
