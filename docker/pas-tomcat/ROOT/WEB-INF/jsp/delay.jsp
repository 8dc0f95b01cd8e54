<%@ include file="common.jspf" %>
<%@ include file="request.jspf" %>
<%
    Thread.sleep(number(request, "ms", 1000));
    out.print(json + instance(calls));
%>
