<%@ include file="common.jspf" %>
<%@ include file="request.jspf" %>
<%
    byte[] body = request.getInputStream().readNBytes(4096);
    long length = body.length + request.getInputStream().skip(Long.MAX_VALUE);
    out.print(json + ", \"data\": " + quote(new String(body, "ISO-8859-1")) + ", \"length\": "
        + length + instance(calls));
%>
