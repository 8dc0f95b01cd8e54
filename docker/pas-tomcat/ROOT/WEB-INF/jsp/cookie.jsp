<%@ include file="common.jspf" %>
<%
    String cookie = "test=succeeded; Domain=localhost; Path=" + request.getRequestURI();
    if (request.getRequestURI().endsWith("persistentcookie"))
        cookie += "; Max-Age=" + number(request, "maxage", 600);
    response.addHeader("Set-Cookie", cookie);
    response.setContentType("text/plain");
    out.print("you got a cookie");
%>
